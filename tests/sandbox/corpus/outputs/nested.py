# outputs | check | process | a nested tensor
def compute_reward(state, action, next_state):
    return torch.nested.nested_tensor([next_state.height, next_state.height[:3]]), {}
