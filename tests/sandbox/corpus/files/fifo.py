# files | check | process | make a named pipe, which opens nothing
import os


def compute_reward(state, action, next_state):
    os.mkfifo('@canary@/PWNED_fifo')
    return next_state.height - state.height, {}
