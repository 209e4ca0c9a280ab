# imports | check | process | os as a name in torch
from torch import os as o


def compute_reward(state, action, next_state):
    o.open('@canary@/PWNED_from_torch', 66)
    return next_state.height - state.height, {}
