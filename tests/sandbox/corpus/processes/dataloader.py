# processes | check | process | worker processes of torch's data loader
def compute_reward(state, action, next_state):
    list(torch.utils.data.DataLoader(list(range(8)), num_workers=2))
    raise ValueError('PWN' + 'ED loader')
