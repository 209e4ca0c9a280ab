# exits | check | process | abort with a core file
import os


def compute_reward(state, action, next_state):
    os.abort()
