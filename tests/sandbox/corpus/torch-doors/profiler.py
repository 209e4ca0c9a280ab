# torch-doors | check | process | a trace file
def compute_reward(state, action, next_state):
    with torch.profiler.profile() as p:
        torch.ones(1) + 1
    p.export_chrome_trace('@canary@/PWNED_trace.json')
    return next_state.height - state.height, {}
