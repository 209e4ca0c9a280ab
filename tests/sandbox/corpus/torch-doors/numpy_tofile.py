# torch-doors | check | process | numpy behind a tensor, and its files
def compute_reward(state, action, next_state):
    next_state.height.numpy().tofile('@canary@/PWNED_tofile')
    return next_state.height - state.height, {}
