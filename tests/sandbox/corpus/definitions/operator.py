# definitions | check | process | an operator that is exec
class A:
    __add__ = exec


def compute_reward(state, action, next_state):
    A() + "open('@canary@/PWNED_operator', 'w')"
    return next_state.height, {}
