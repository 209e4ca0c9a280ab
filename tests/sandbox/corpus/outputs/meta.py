# outputs | process | process | a tensor without memory
def compute_reward(state, action, next_state):
    return next_state.height.to('meta'), {}
