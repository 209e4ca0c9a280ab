# cheating | check | smoke | an in-place method on an input
def compute_reward(state, action, next_state):
    next_state.height.zero_()
    return state.height, {}
