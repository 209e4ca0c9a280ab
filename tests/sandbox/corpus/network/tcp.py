# network | check | process | connect to a listener on this machine
import socket


def compute_reward(state, action, next_state):
    socket.create_connection(('127.0.0.1', @port@), 1).send(b'x')
    return next_state.height - state.height, {}
