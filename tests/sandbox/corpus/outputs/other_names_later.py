# outputs | wire | wire | other names in the second call
CALLS = []


def compute_reward(state, action, next_state):
    CALLS.append(1)
    return next_state.height, {'c' + str(len(CALLS)): next_state.height}
