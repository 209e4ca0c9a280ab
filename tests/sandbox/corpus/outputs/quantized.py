# outputs | check | wire | a quantised tensor
def compute_reward(state, action, next_state):
    return torch.quantize_per_tensor(next_state.height, 0.1, 0, torch.qint8), {}
