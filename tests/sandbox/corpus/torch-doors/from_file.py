# torch-doors | check | process | a tensor over a file
def compute_reward(state, action, next_state):
    torch.from_file('@canary@/new_file', shared=True, size=64)
    return next_state.height - state.height, {}
