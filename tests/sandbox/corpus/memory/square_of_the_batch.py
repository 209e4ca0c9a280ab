# memory | process | process | every row against every row, three times over
def compute_reward(state, action, next_state):
    x = next_state.height.repeat(200)
    return (x[:, None] * x[None, :, ])[:, :, None].repeat(1, 1, 64).sum((1, 2))[: len(state)], {}
