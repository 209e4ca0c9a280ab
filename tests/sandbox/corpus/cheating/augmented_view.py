# cheating | harmless | smoke | an augmented assignment on a view of an input
def compute_reward(state, action, next_state):
    error = next_state.height
    error -= 1.0
    return -error.abs(), {}
