# output-size | check | process | an exception of a hundred megabytes
def compute_reward(state, action, next_state):
    raise ValueError('x' * 10 ** 8)
