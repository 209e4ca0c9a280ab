# torch-doors | check | process | C++ compiled at run time
def compute_reward(state, action, next_state):
    from torch.utils import cpp_extension
    cpp_extension.load_inline('PWNED', 'int f() { return 1; }', build_directory='@canary@')
    return next_state.height - state.height, {}
