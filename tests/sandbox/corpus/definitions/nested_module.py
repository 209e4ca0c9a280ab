# definitions | check | harmless | a nested function named like a module
def compute_reward(state, action, next_state):
    def torch(x):
        return x

    return torch(next_state.height) - state.height, {}
