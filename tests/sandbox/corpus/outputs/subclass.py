# outputs | check | process | a tensor class with hooks of its own
class Evil(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *given, **more):
        open('@canary@/PWNED_subclass', 'w')


def compute_reward(state, action, next_state):
    return next_state.height.as_subclass(Evil), {}
