# parser | check | harmless | a thousand branches
if 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass
elif 0:
    pass



def compute_reward(state, action, next_state):
    return next_state.height - state.height, {}
