# cheating | harmless | harmless | a view of an input as the reward
def compute_reward(state, action, next_state):
    return next_state.height, {'same': next_state.height}
