# memory | process | process | one whole number of gigabytes
def compute_reward(state, action, next_state):
    number = 1 << (1 << 36)
    return next_state.height + number % 2, {}
