# network | check | process | tell by a name lookup
import socket


def compute_reward(state, action, next_state):
    told = socket.getaddrinfo('pwned.example.invalid', 80)
    raise ValueError('PWN' + f'ED {told}')
