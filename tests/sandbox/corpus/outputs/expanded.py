# outputs | smoke | smoke | a tensor whose rows are one place in memory
def compute_reward(state, action, next_state):
    return next_state.height[:1].expand(len(state)), {}
