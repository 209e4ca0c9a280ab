# torch-doors | check | process | torch.save to a file
def compute_reward(state, action, next_state):
    torch.save(next_state.height, '@canary@/PWNED_save')
    return next_state.height - state.height, {}
