# cheating | check | smoke | chance instead of reward
def compute_reward(state, action, next_state):
    return torch.rand(len(state)), {}
