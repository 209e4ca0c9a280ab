# threads | check | process or harmless | a pool of threads
import concurrent.futures


def compute_reward(state, action, next_state):
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        list(pool.map(len, [[]] * 64))
    return next_state.height - state.height, {}
