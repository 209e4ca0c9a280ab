# escapes | check | process | the caller's frame, and what it holds
import sys


def compute_reward(state, action, next_state):
    frame = sys._getframe(1)
    while frame is not None:
        for value in list(frame.f_locals.values()):
            if hasattr(value, 'answers'):
                open('@canary@/PWNED_frame', 'w')
                raise ValueError('PWN' + 'ED frame')
        frame = frame.f_back
    raise ValueError('none')
