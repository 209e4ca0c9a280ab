# escapes | check | harmless | a trace function in the worker's own loop
import sys


def compute_reward(state, action, next_state):
    sys.settrace(lambda *given: None)
    sys.setprofile(lambda *given: None)
    return next_state.height - state.height, {}
