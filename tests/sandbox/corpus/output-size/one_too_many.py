# output-size | wire | wire | one component more than there may be
def compute_reward(state, action, next_state):
    return next_state.height, {f'c{i}': next_state.height for i in range(33)}
