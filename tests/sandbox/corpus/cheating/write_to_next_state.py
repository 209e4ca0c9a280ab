# cheating | check | smoke | an input set to what it should be
def compute_reward(state, action, next_state):
    next_state.height[:] = 0.0
    return next_state.height + state.height, {}
