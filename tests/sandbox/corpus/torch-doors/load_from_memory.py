# torch-doors | check | process | torch.load of a pickle in memory that runs code
import pickle


def compute_reward(state, action, next_state):
    class Evil:
        def __reduce__(self):
            return (open, ('@canary@/PWNED_pickle', 'w'))
    pickle.loads(pickle.dumps(Evil()))
