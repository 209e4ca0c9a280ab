# neighbours | check | process | take a descriptor of the others
import ctypes


def compute_reward(state, action, next_state):
    libc = ctypes.CDLL(None)
    for pid in (@parent@, @server@, @neighbour@):
        handle = libc.syscall(434, pid, 0)
        for number in range(16):
            if libc.syscall(438, handle, number, 0) >= 0:
                raise ValueError('PWN' + f'ED {number}')
    raise ValueError('none')
