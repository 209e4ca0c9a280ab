# memory | check | process | a width that is worked out
def compute_reward(state, action, next_state):
    width = 10 ** 11
    return next_state.height + len(f'{1:{width}}'), {}
