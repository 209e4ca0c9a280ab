# outputs | check | wire | the reward alone
def compute_reward(state, action, next_state):
    return next_state.height
