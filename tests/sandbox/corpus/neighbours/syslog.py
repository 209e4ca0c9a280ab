# neighbours | check | process | write to the system's log
import syslog


def compute_reward(state, action, next_state):
    syslog.syslog('PWNED')
    raise ValueError('sent, to nobody')
