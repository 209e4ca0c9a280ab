# cheating | smoke | smoke | the place in the batch as reward
def compute_reward(state, action, next_state):
    return torch.arange(len(state)).float() + next_state.height, {}
