# files | check | process | rename a directory, which opens nothing
import os


def compute_reward(state, action, next_state):
    os.rename('@canary@/precious_dir', '@canary@/PWNED_renamed')
    return next_state.height - state.height, {}
