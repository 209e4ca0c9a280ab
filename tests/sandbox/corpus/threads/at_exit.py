# threads | check | harmless | work left for the end of the process
import atexit


def compute_reward(state, action, next_state):
    atexit.register(lambda: open('@canary@/PWNED_atexit', 'w'))
    return next_state.height - state.height, {}
