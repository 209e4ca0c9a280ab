# escapes | check | process | a function made of other code
def compute_reward(state, action, next_state):
    f = compute_reward
    f.__code__ = (lambda s, a, n: open('@canary@/PWNED_code', 'w')).__code__
    return f(state, action, next_state)
