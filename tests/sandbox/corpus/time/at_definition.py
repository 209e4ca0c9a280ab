# time | deadline | deadline | hang when the module is read
LIST = [i for i in range(10 ** 15)]


def compute_reward(state, action, next_state):
    return next_state.height, {}
