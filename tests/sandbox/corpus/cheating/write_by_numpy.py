# cheating | check | smoke | an input set through numpy, past the version counter
def compute_reward(state, action, next_state):
    next_state.height.numpy()[:] = 0.0
    return state.height, {}
