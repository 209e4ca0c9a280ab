# recursion | wire | wire | a dictionary that holds itself
def compute_reward(state, action, next_state):
    parts = {}
    parts['x'] = parts
    return next_state.height, parts
