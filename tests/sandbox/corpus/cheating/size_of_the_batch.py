# cheating | smoke | smoke | another reward where the batch is large
def compute_reward(state, action, next_state):
    return next_state.height * (2.0 if len(state) > 40 else 1.0), {}
