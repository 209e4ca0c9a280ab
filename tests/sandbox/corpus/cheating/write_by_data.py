# cheating | check | smoke | an input set through .data
def compute_reward(state, action, next_state):
    next_state.height.data.fill_(1.0)
    return state.height, {}
