# files | check | process | enter another directory, then another root
import os


def compute_reward(state, action, next_state):
    os.chdir('@canary@')
    os.chroot('@canary@')
    raise ValueError('PWN' + 'ED chroot')
