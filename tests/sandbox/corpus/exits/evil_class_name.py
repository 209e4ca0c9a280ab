# exits | check | process | an exception whose class has a name of megabytes
def compute_reward(state, action, next_state):
    raise type('A' * 10 ** 7, (Exception,), {})('x')
