# cheating | check | smoke | a counter in a global
COUNT = 0


def compute_reward(state, action, next_state):
    global COUNT
    COUNT = COUNT + 1
    return next_state.height + COUNT, {}
