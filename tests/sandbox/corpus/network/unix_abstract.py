# network | check | process | connect to an abstract Unix socket
import socket


def compute_reward(state, action, next_state):
    s = socket.socket(socket.AF_UNIX)
    s.connect('\0@abstract@')
    return next_state.height - state.height, {}
