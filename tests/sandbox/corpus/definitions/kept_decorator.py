# definitions | harmless | process | a decorator that looks like the ones that are dropped
@torch.jit.script(open('@canary@/PWNED_decorator', 'w'))
def compute_reward(state, action, next_state):
    return next_state.height - state.height, {}
