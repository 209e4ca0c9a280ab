# processes | check | process | a pool of processes
import multiprocessing


def compute_reward(state, action, next_state):
    multiprocessing.get_context('fork').Pool(2)
    raise ValueError('PWN' + 'ED pool')
