# cheating | check | smoke | an input as the place for a result, by a dictionary of arguments
def compute_reward(state, action, next_state):
    torch.mul(state.height, 0.0, **{'out': next_state.height})
    return next_state.height + state.velocity[:, 0], {}
