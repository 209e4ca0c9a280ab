# signals | check | deadline | leave session and group, then hang
import os


def compute_reward(state, action, next_state):
    for attempt in (os.setsid, lambda: os.setpgid(0, @server@), lambda: os.setpgid(0, 0)):
        try:
            attempt()
        except OSError:
            pass
    while True:
        pass
