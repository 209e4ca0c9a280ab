# memory | check | process | a width of a hundred thousand million in an f-string
def compute_reward(state, action, next_state):
    return next_state.height + len(f'{1:99999999999}'), {}
