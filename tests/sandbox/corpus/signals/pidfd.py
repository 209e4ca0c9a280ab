# signals | check | process | signal through a descriptor of the process
import os
import signal


def compute_reward(state, action, next_state):
    fd = os.pidfd_open(@server@)
    signal.pidfd_send_signal(fd, 9)
    raise ValueError('PWN' + 'ED pidfd')
