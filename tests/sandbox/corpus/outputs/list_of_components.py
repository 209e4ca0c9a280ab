# outputs | check | wire | a list in the place of the dictionary
def compute_reward(state, action, next_state):
    return next_state.height, [next_state.height]
