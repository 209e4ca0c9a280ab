# escapes | check | process | attributes by format_map, item by item
def compute_reward(state, action, next_state):
    raise ValueError('{x.__class__.__mro__}'.format_map({'x': state}) and open('@canary@/secret.txt').read())
