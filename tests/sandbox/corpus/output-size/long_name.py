# output-size | wire | wire | a component's name of a megabyte
def compute_reward(state, action, next_state):
    return next_state.height, {'x' * 10 ** 6: next_state.height}
