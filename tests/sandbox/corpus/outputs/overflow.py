# outputs | wire | wire | a float64 that no float32 can hold
def compute_reward(state, action, next_state):
    return next_state.height.double() * 1e300, {}
