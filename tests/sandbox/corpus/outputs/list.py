# outputs | wire | wire | a list of numbers
def compute_reward(state, action, next_state):
    return next_state.height.tolist(), {}
