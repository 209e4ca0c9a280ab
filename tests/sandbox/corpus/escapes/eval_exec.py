# escapes | check | process | code built at run time
def compute_reward(state, action, next_state):
    exec(''.join(chr(c) for c in (111, 112, 101, 110)) + "('@canary@/PWNED_exec', 'w')")
    return next_state.height - state.height, {}
