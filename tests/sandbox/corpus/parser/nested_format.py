# parser | check | process | a format within a format within a format
def compute_reward(state, action, next_state):
    x = f'{1:{2:{3}}}'
    return next_state.height, {}
