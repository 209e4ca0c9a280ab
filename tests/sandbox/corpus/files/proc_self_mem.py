# files | check | process | write to the own memory through /proc
def compute_reward(state, action, next_state):
    open('/proc/self/mem', 'r+b').write(b'x')
    return next_state.height - state.height, {}
