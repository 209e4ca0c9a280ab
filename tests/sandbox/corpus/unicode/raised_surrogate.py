# unicode | check | process | half a character in a message
def compute_reward(state, action, next_state):
    raise ValueError('\ud800' * 5000)
