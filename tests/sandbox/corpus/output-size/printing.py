# output-size | check | harmless | print without end
def compute_reward(state, action, next_state):
    for i in range(2000):
        print('x' * 10000)
    return next_state.height - state.height, {}
