# outputs | check | wire | a generator
def compute_reward(state, action, next_state):
    yield next_state.height, {}
