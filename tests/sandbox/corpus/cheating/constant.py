# cheating | smoke | smoke | the highest reward for everything
def compute_reward(state, action, next_state):
    return torch.full((len(state),), 10.0), {}
