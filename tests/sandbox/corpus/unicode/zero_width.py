# unicode | check | wire | an invisible character in a component's name
def compute_reward(state, action, next_state):
    return next_state.height, {'succ​ess': next_state.height}
