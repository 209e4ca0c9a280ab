# time | check | harmless | wait for a line that nobody types
def compute_reward(state, action, next_state):
    try:
        input()
    except EOFError:
        pass
    return next_state.height - state.height, {}
