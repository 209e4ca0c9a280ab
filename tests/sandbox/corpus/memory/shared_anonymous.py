# memory | check | process | shared memory that outlives the process
def compute_reward(state, action, next_state):
    import ctypes
    libc = ctypes.CDLL(None)
    if libc.shmget(0x5057, 1 << 20, 0o1666) >= 0:
        raise ValueError('PWN' + 'ED segment')
    raise ValueError('no')
