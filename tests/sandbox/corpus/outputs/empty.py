# outputs | wire | wire | no rows at all
def compute_reward(state, action, next_state):
    return next_state.height[:0], {}
