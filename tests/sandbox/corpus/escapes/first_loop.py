# escapes | check | process | a builtin in what a comprehension of the same name goes over
def compute_reward(state, action, next_state):
    used = [0 for open in open('@canary@/PWNED_loop', 'w')]
    return next_state.height - state.height, {}
