# definitions | check | process | hooks that run while a class is made
class D:
    def __set_name__(self, owner, name):
        open('@canary@/PWNED_set_name', 'w')


class K:
    x = D()


def compute_reward(state, action, next_state):
    return next_state.height, {}
