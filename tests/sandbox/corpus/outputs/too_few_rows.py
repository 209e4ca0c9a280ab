# outputs | wire | wire | one row too few
def compute_reward(state, action, next_state):
    return next_state.height[1:], {}
