# definitions | check | process | a default that runs when the function is defined
def compute_reward(state, action, next_state, x=open('@canary@/PWNED_default', 'w')):
    return next_state.height, {}
