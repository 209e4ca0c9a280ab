# torch-doors | check | process | torch.compile writes and runs a compiler's output
def compute_reward(state, action, next_state):
    return torch.compile(lambda x: x * 2 + 1, fullgraph=True)(next_state.height), {}
