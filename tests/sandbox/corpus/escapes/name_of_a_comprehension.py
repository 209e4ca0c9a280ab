# escapes | check | process | a builtin under the name that a comprehension has used
def compute_reward(state, action, next_state):
    used = [0 for open in (1,)]
    open('@canary@/PWNED_comprehension', 'w')
    return next_state.height - state.height, {}
