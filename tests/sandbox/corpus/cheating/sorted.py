# cheating | smoke | smoke | rows in another order
def compute_reward(state, action, next_state):
    return next_state.height.sort().values, {}
