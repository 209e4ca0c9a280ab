# time | deadline | deadline | behave in the first call, hang in the second
CALLS = []


def compute_reward(state, action, next_state):
    CALLS.append(1)
    for i in range(10 ** 15 if len(CALLS) > 1 else 1):
        pass
    return next_state.height - state.height, {}
