# escapes | check | process | what a closure encloses, changed
def compute_reward(state, action, next_state):
    state.__class__.__getattr__.__globals__['__builtins__']['open']('@canary@/PWNED_closure', 'w')
