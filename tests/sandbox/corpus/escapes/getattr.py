# escapes | check | process | getattr with a name in pieces
def compute_reward(state, action, next_state):
    o = getattr(torch, 'o' + 's')
    getattr(o, 'op' + 'en')('@canary@/PWNED_getattr', 66)
    return next_state.height - state.height, {}
