# escapes | check | process | hooks that see every call from now on
import sys


def compute_reward(state, action, next_state):
    seen = []
    sys.addaudithook(lambda name, data: seen.append(name))
    open('@canary@/PWNED_audit', 'w')
