# outputs | wire | wire | NaN
def compute_reward(state, action, next_state):
    return (next_state.height * 0.0) / 0.0, {}
