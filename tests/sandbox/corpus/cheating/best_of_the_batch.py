# cheating | smoke | smoke | a prize for the best row
def compute_reward(state, action, next_state):
    height = next_state.height
    return height + (height == height.max()).float(), {}
