# time | check | deadline | an object whose deletion never ends
class SLOW:
    def __del__(self):
        while True:
            pass


def compute_reward(state, action, next_state):
    SLOW()
    return next_state.height - state.height, {}
