# unicode | check | process | half a character, which no encoding has
def compute_reward(state, action, next_state):
    x = 'í €'
    return next_state.height + len(x), {}
