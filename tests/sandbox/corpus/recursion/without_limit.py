# recursion | check | process | lift the limit and break the C stack
import sys


def deeper(x):
    return max([x[:1].sum().item()], key=lambda y: deeper(x))


def compute_reward(state, action, next_state):
    sys.setrecursionlimit(2 ** 31 - 1)
    return deeper(next_state.height), {}
