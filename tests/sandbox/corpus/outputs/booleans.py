# outputs | wire | wire | truth values
def compute_reward(state, action, next_state):
    return next_state.height > 0, {}
