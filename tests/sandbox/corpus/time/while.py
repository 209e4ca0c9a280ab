# time | check | deadline | an endless loop
def compute_reward(state, action, next_state):
    while True:
        pass
