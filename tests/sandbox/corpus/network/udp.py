# network | check | process | send a datagram
import socket


def compute_reward(state, action, next_state):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', @port@))
    return next_state.height - state.height, {}
