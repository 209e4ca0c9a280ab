# torch-doors | check | process | an operator registered over another, with Python behind
def compute_reward(state, action, next_state):
    library = torch.library.Library('aten', 'IMPL')
    library.impl('add.Tensor', lambda a, b, alpha=1: open('@canary@/PWNED_op', 'w'), 'CPU')
    return next_state.height + state.height, {}
