# imports | check | process | __import__ by call
def compute_reward(state, action, next_state):
    __import__('os').open('@canary@/PWNED_dunder', 66)
    return next_state.height - state.height, {}
