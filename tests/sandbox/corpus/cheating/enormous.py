# cheating | smoke | smoke | a reward that drowns all others
def compute_reward(state, action, next_state):
    return next_state.height * 1e20, {}
