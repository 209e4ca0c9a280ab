# time | check | deadline | a regular expression that backtracks
import re


def compute_reward(state, action, next_state):
    re.match(r'(a+)+$', 'a' * 64 + 'b')
    return next_state.height - state.height, {}
