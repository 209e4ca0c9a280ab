# threads | check | harmless | a thread that goes on when the answer is given
import threading


def compute_reward(state, action, next_state):
    def loop():
        while True:
            pass
    try:
        threading.Thread(target=loop, daemon=True).start()
    except RuntimeError:
        pass
    return next_state.height - state.height, {}
