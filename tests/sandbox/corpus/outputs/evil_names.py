# outputs | check | process | names whose comparison runs code
class Name(str):
    def isascii(self):
        open('@canary@/PWNED_name', 'w')


def compute_reward(state, action, next_state):
    return next_state.height, {Name('x'): next_state.height}
