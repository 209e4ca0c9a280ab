# output-size | check | harmless | warn without end
import warnings


def compute_reward(state, action, next_state):
    for i in range(2000):
        warnings.warn('x' * 1000)
    return next_state.height - state.height, {}
