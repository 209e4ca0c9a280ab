# outputs | wire | wire | a component that is a function
def compute_reward(state, action, next_state):
    return next_state.height, {'x': abs}
