# definitions | check | process | a metaclass whose attributes are open
class M(type):
    def __new__(cls, name, bases, space):
        open('@canary@/PWNED_meta', 'w')


class E(metaclass=M):
    pass


def compute_reward(state, action, next_state):
    return next_state.height, {}
