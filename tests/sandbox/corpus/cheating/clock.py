# cheating | check | smoke | the clock instead of reward
import time


def compute_reward(state, action, next_state):
    return next_state.height + time.perf_counter() % 1.0, {}
