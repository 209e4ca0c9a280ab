# recursion | check | process | a chain of causes without end
def compute_reward(state, action, next_state):
    error = ValueError('x')
    for i in range(10 ** 5):
        fresh = ValueError('x')
        fresh.__cause__ = error
        error = fresh
    raise error
