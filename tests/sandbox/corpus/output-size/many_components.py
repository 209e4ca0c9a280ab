# output-size | wire | wire | a hundred thousand components
def compute_reward(state, action, next_state):
    return next_state.height, {f'c{i}': next_state.height for i in range(100000)}
