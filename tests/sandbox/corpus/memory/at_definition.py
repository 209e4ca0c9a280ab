# memory | process | process | a constant of terabytes when the module is read
TABLE = torch.ones(10 ** 6, 10 ** 6)


def compute_reward(state, action, next_state):
    return TABLE[0, 0] + next_state.height, {}
