# network | check | process | a TCP store of torch.distributed
def compute_reward(state, action, next_state):
    torch.distributed.TCPStore('127.0.0.1', @port@, is_master=False, timeout=__import__('datetime').timedelta(seconds=1))
    return next_state.height - state.height, {}
