# cheating | smoke | smoke | a counter in a default
def compute_reward(state, action, next_state, memory={'calls': 0}):
    memory['calls'] = memory['calls'] + 1
    return next_state.height + memory['calls'], {}
