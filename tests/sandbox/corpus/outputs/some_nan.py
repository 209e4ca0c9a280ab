# outputs | wire | wire | NaN in a single row
def compute_reward(state, action, next_state):
    return torch.where(torch.arange(len(state)) == 0, torch.nan, next_state.height), {}
