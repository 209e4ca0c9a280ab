# output-size | check | process | terminal codes and invisible characters in a message
def compute_reward(state, action, next_state):
    raise ValueError('\x1b]0;PWN\x07\x1b[2J\u202e\u200b\r\n\0')
