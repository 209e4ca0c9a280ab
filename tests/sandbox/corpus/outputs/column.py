# outputs | wire | wire | a column instead of a row
def compute_reward(state, action, next_state):
    return next_state.height.unsqueeze(-1), {}
