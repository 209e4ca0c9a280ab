# network | check | process | netlink, packet and vsock sockets
import socket


def compute_reward(state, action, next_state):
    for family, kind in ((16, 3), (17, 3), (40, 1), (2, 3), (38, 5)):
        try:
            socket.socket(family, kind)
        except OSError:
            continue
        raise ValueError('PWN' + f'ED {family}')
    raise ValueError('none')
