# memory | process or deadline | process or deadline | a default that keeps what every call leaves there
def compute_reward(state, action, next_state, kept=[]):
    kept.append(torch.ones(3 * 10 ** 8))
    return next_state.height - state.height, {}
