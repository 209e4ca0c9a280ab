# outputs | wire | wire | one row too many
def compute_reward(state, action, next_state):
    return torch.cat([next_state.height, next_state.height[:1]]), {}
