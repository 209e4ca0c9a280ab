# recursion | process | process | a function that calls itself
def deeper(x):
    return deeper(x) + 1


def compute_reward(state, action, next_state):
    return deeper(next_state.height), {}
