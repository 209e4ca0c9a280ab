# time | deadline | deadline | one call into C that takes hours
def compute_reward(state, action, next_state):
    x = torch.ones(4000, 4000)
    for i in range(10 ** 6):
        x = x @ x * 1e-4
    return x[0, : len(state)], {}
