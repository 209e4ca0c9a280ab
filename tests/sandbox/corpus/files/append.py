# files | check | process | append to a file that is there
def compute_reward(state, action, next_state):
    with open('@canary@/secret.txt', 'a') as file:
        file.write('x')
    return next_state.height - state.height, {}
