# files | check | process | read a file the way tracebacks do
import linecache


def compute_reward(state, action, next_state):
    text = linecache.getline('@canary@/secret.txt', 1)
    if text:
        raise ValueError(text)
    raise ValueError('nothing')
