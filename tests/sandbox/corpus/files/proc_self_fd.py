# files | check | process | open an inherited descriptor anew, with other rights
import os


def compute_reward(state, action, next_state):
    for number in range(64):
        try:
            os.open(f'/proc/self/fd/{number}', os.O_RDWR)
        except OSError:
            continue
        raise ValueError('PWN' + f'ED {number}')
    raise ValueError('none opens')
