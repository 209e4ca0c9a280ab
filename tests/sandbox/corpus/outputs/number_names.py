# outputs | check | wire | components named by numbers
def compute_reward(state, action, next_state):
    return next_state.height, {1: next_state.height}
