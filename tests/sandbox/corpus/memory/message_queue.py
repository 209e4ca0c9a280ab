# memory | check | process | message queues and semaphores that outlive the process
def compute_reward(state, action, next_state):
    import ctypes
    libc = ctypes.CDLL(None)
    if libc.msgget(0x5057, 0o1666) >= 0 or libc.semget(0x5057, 1, 0o1666) >= 0:
        raise ValueError('PWN' + 'ED queue')
    raise ValueError('no')
