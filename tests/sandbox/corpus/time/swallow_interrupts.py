# time | check | deadline | catch whatever should stop it
def compute_reward(state, action, next_state):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue
