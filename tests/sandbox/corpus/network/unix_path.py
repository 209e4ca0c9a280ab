# network | check | process | connect to a Unix socket in the file system
import socket


def compute_reward(state, action, next_state):
    s = socket.socket(socket.AF_UNIX)
    s.connect('@canary@/socket')
    return next_state.height - state.height, {}
