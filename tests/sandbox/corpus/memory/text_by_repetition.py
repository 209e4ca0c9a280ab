# memory | process | process | a text of gigabytes
def compute_reward(state, action, next_state):
    text = 'x' * 10 ** 11
    return next_state.height + len(text), {}
