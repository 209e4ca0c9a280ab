# torch-doors | check | process | a tensor moved to shared memory
def compute_reward(state, action, next_state):
    x = torch.ones(1000).share_memory_()
    raise ValueError('PWN' + 'ED shared')
