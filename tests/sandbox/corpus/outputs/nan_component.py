# outputs | wire | wire | a component that is NaN
def compute_reward(state, action, next_state):
    return next_state.height, {'x': torch.log(-next_state.height.abs() - 1.0)}
