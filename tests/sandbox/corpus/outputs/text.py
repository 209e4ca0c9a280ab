# outputs | wire | wire | a text
def compute_reward(state, action, next_state):
    return 'reward', {}
