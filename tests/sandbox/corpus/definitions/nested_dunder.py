# definitions | check | harmless | a nested function with a name of the interpreter's
def compute_reward(state, action, next_state):
    def __import__(x):
        return x

    return next_state.height - state.height, {}
