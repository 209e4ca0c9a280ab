# escapes | check | harmless | an attribute by a format string, and nothing else that is wrong
def compute_reward(state, action, next_state):
    name = '{0.__class__.__name__}'.format(next_state)
    return next_state.height, {name: next_state.height}
