# cheating | check | smoke | a counter on the function
def compute_reward(state, action, next_state):
    compute_reward.calls = getattr(compute_reward, 'calls', 0) + 1
    return next_state.height + compute_reward.calls, {}
