# parser | harmless | harmless | comprehensions in comprehensions
x = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1 for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)] for a in (1,)]


def compute_reward(state, action, next_state):
    return next_state.height - state.height, {}
