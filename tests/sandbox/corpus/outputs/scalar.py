# outputs | wire | wire | one number for all
def compute_reward(state, action, next_state):
    return next_state.height.mean(), {}
