# exits | check | process | an exception from a line that does not exist
def compute_reward(state, action, next_state):
    exec(compile('\n' * 10 ** 6 + 'raise ValueError(1)', '<reward>', 'exec'))
