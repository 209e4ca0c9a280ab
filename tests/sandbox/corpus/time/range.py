# time | deadline | deadline | a loop of 10**15 steps
def compute_reward(state, action, next_state):
    total = 0.0
    for i in range(10 ** 15):
        total = total + 1.0
    return next_state.height + total, {}
