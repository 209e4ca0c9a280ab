# imports | check | process | a module from a directory of its own
import sys


def compute_reward(state, action, next_state):
    sys.path.insert(0, '@canary@')
    import evil_module
    return next_state.height - state.height, {}
