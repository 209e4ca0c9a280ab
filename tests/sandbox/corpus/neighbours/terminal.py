# neighbours | check | process | type on the terminal
import fcntl


def compute_reward(state, action, next_state):
    fcntl.ioctl(0, 0x5412, b'x')
    raise ValueError('PWN' + 'ED typed')
