# imports | check | process | a relative import of the package
from . import sandbox


def compute_reward(state, action, next_state):
    return next_state.height - state.height, {}
