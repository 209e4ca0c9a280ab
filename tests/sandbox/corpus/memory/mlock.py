# memory | check | process | lock memory
def compute_reward(state, action, next_state):
    import ctypes
    libc = ctypes.CDLL(None)
    if libc.mlockall(3) == 0:
        raise ValueError('PWN' + 'ED locked')
    raise ValueError('no')
