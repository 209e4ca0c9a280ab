# processes | check | process | clone and clone3 past the C library
def compute_reward(state, action, next_state):
    import ctypes
    import os
    libc = ctypes.CDLL(None)
    for number, arguments in ((56, (17, 0, 0, 0, 0)), (57, ()), (58, ()), (435, (bytes(88), 88))):
        if number == 58:
            continue  # vfork in ctypes would share our stack
        pid = libc.syscall(number, *arguments)
        if pid == 0:
            os._exit(0)
        if pid > 0:
            raise ValueError('PWN' + f'ED {number}')
    raise ValueError('none')
