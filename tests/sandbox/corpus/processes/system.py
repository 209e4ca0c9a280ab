# processes | check | process | a shell command by the C library
import os


def compute_reward(state, action, next_state):
    os.system('touch @canary@/PWNED_system')
    return next_state.height - state.height, {}
