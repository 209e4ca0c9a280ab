# files | check | process | close a descriptor and open under its number
def compute_reward(state, action, next_state):
    import os
    os.close(0)
    number = os.open('@canary@/PWNED_reuse', os.O_CREAT | os.O_WRONLY)
    os.write(number, b'x')
    return next_state.height - state.height, {}
