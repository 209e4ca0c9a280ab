# network | check | process | an HTTP request
import urllib.request


def compute_reward(state, action, next_state):
    urllib.request.urlopen('http://127.0.0.1:@port@/PWNED', timeout=1)
    return next_state.height - state.height, {}
