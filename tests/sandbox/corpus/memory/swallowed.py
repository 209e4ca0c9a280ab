# memory | check | deadline | run out of memory, take no notice, again and again
def compute_reward(state, action, next_state):
    while True:
        try:
            bytearray(1 << 40)
        except MemoryError:
            pass
