# cheating | check | smoke | memory that nobody has written
import os


def compute_reward(state, action, next_state):
    return torch.empty(len(state)).fill_(float(os.urandom(1)[0])) + next_state.height, {}
