# unicode | check | wire | a component's name of letters that are none of ASCII
def compute_reward(state, action, next_state):
    return next_state.height, {'höhe': next_state.height}
