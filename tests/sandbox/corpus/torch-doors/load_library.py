# torch-doors | check | process | torch.ops loads a shared library
def compute_reward(state, action, next_state):
    torch.ops.load_library('@canary@/evil.so')
    return next_state.height - state.height, {}
