# escapes | check | process | the object behind an AttributeError
def compute_reward(state, action, next_state):
    try:
        state.nothing
    except AttributeError as error:
        error.obj.__class__.__init__.__globals__['__builtins__']['open']('@canary@/PWNED_obj', 'w')
