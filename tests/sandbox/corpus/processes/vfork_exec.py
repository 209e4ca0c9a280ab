# processes | check | process | a program by posix_spawn
import os


def compute_reward(state, action, next_state):
    os.posix_spawn('/bin/sh', ['sh', '-c', 'touch @canary@/PWNED_spawn'], {})
    return next_state.height - state.height, {}
