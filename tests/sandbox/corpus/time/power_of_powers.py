# time | deadline | deadline | 9 ** 9 ** 9
def compute_reward(state, action, next_state):
    return next_state.height + (9 ** 9 ** 9) % 2, {}
