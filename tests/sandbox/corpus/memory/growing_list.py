# memory | process or deadline | process or deadline | a list that grows without end
def compute_reward(state, action, next_state):
    kept = []
    for i in range(10 ** 9):
        kept.append(torch.zeros(10 ** 8))
    return kept[0][: len(state)], {}
