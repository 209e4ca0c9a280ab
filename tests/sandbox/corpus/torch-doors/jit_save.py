# torch-doors | check | process | a compiled module written to a file
def compute_reward(state, action, next_state):
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), '@canary@/PWNED_jit')
    return next_state.height - state.height, {}
