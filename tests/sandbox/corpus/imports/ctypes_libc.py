# imports | check | process | the C library
import ctypes


def compute_reward(state, action, next_state):
    ctypes.CDLL(None).creat(b'@canary@/PWNED_libc', 0o777)
    raise ValueError('tried')
