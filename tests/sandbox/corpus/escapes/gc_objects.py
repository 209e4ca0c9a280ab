# escapes | check | deadline or process | every object that the process holds, the worker's own among them
import gc


def compute_reward(state, action, next_state):
    for item in gc.get_objects():
        if type(item).__name__ == 'Worker':
            item.answers = 1
            item.failure = None
            item.names = ['PWNED']
    open('@canary@/PWNED_gc', 'w')
