# time | deadline | deadline | sums over a generator that never ends
def compute_reward(state, action, next_state):
    return next_state.height + sum(1 for i in range(10 ** 14)), {}
