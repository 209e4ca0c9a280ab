# cheating | check | smoke | a hash of all rows as the reward of each
def compute_reward(state, action, next_state):
    return next_state.height + hash(str(next_state.height)) % 97, {}
