# neighbours | check | process | read the memory of the others by a system call
import ctypes


def compute_reward(state, action, next_state):
    class Part(ctypes.Structure):
        _fields_ = (('base', ctypes.c_void_p), ('size', ctypes.c_size_t))
    libc = ctypes.CDLL(None)
    room = ctypes.create_string_buffer(64)
    here = Part(ctypes.addressof(room), 64)
    for pid in (@parent@, @server@, @neighbour@):
        there = Part(id(state), 64)
        for call in (libc.process_vm_readv, libc.process_vm_writev):
            if call(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) >= 0:
                raise ValueError('PWN' + f'ED {pid}')
    raise ValueError('none')
