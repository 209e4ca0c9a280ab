# outputs | wire | wire | complex numbers
def compute_reward(state, action, next_state):
    return next_state.height + 1j, {}
