# torch-doors | check | process | a numpy array over a file
import numpy


def compute_reward(state, action, next_state):
    numpy.memmap('@canary@/PWNED_memmap', mode='w+', shape=8)
    return next_state.height - state.height, {}
