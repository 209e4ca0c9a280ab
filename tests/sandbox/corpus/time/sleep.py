# time | check | deadline | sleep through the deadline
import time


def compute_reward(state, action, next_state):
    time.sleep(3600)
    return next_state.height - state.height, {}
