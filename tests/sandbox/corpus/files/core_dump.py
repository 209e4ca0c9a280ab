# files | check | process | leave a core file with the memory in it
import os
import resource


def compute_reward(state, action, next_state):
    resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
    os.abort()
