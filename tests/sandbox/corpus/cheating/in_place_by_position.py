# cheating | smoke | smoke | an in-place argument without its name
import torch.nn.functional as F


def compute_reward(state, action, next_state):
    seen = F.relu(next_state.height, True)
    return seen - state.height, {}
