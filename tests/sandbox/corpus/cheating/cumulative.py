# cheating | smoke | smoke | each row the sum of those before
def compute_reward(state, action, next_state):
    return next_state.height.cumsum(0), {}
