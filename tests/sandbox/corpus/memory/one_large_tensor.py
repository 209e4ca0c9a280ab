# memory | process | process | a tensor of terabytes
def compute_reward(state, action, next_state):
    return torch.ones(10 ** 6, 10 ** 6)[: len(state), 0], {}
