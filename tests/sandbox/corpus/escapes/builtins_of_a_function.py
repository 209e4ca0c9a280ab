# escapes | check | process | __builtins__ of a function from the shaping library
def compute_reward(state, action, next_state):
    tolerance.__globals__['__builtins__']['open']('@canary@/PWNED_library', 'w')
