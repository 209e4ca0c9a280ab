# cheating | smoke | smoke | a counter in a module's list
CALLS = []


def compute_reward(state, action, next_state):
    CALLS.append(1)
    return next_state.height + len(CALLS), {}
