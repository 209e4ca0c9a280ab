# cheating | smoke | smoke | an input set through a view
def compute_reward(state, action, next_state):
    seen = next_state.velocity[:, 0]
    seen[:] = 0.0
    return seen + state.height, {}
