# signals | check | process | kill another candidate's worker
import os


def compute_reward(state, action, next_state):
    os.kill(@neighbour@, 9)
    return next_state.height - state.height, {}
