# neighbours | check | process | attach to the others as a debugger
import ctypes


def compute_reward(state, action, next_state):
    libc = ctypes.CDLL(None)
    for pid in (@parent@, @server@, @neighbour@):
        for request in (16, 0x4206):
            if libc.ptrace(request, pid, 0, 0) == 0:
                raise ValueError('PWN' + f'ED {pid}')
    raise ValueError('none')
