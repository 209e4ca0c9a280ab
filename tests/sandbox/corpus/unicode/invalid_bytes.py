# unicode | check | process | bytes that are no UTF-8
def compute_reward(state, action, next_state):
    x = 'ÿþ€'
    return next_state.height + len(x), {}
