# cheating | smoke | smoke | a counter in a module's tensor
BUFFER = torch.zeros(1)


def compute_reward(state, action, next_state):
    BUFFER[0] = BUFFER[0] + 1.0
    return next_state.height + BUFFER[0], {}
