# processes | check | process | one child
import os


def compute_reward(state, action, next_state):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    raise ValueError('PWN' + 'ED fork')
