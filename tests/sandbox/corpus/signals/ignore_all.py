# signals | check | deadline | ignore every signal and go on for ever
import signal


def compute_reward(state, action, next_state):
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        pass
