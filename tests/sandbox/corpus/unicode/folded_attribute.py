# unicode | check | process | an attribute that folds to one that is refused
def compute_reward(state, action, next_state):
    torch.𝐨𝐬.open('@canary@/PWNED_attribute', 66)
    return next_state.height, {}
