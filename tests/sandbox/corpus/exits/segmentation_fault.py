# exits | check | process | read address zero
import ctypes


def compute_reward(state, action, next_state):
    ctypes.string_at(0)
