# network | check | process | a pair of sockets and a descriptor sent through it
import socket


def compute_reward(state, action, next_state):
    a, b = socket.socketpair()
    socket.send_fds(a, [b'x'], [3, 4, 5, 6])
    raise ValueError('PWN' + 'ED pair')
