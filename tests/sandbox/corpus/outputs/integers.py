# outputs | wire | wire | whole numbers
def compute_reward(state, action, next_state):
    return next_state.height.long(), {}
