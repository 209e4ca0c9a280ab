# cheating | smoke | smoke | rows judged by the other rows
def compute_reward(state, action, next_state):
    height = next_state.height
    return height - height.mean(), {}
