# escapes | check | process | attributes by string.Formatter
import string


def compute_reward(state, action, next_state):
    f = string.Formatter().get_field('0.__init__.__globals__', (compute_reward,), {})
    f[0]['__builtins__']['open']('@canary@/PWNED_formatter', 'w')
