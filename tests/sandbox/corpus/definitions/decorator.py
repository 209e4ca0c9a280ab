# definitions | check | process | a decorator that runs the function's name
@exec
@input
class X:
    pass


def compute_reward(state, action, next_state):
    return next_state.height, {}
