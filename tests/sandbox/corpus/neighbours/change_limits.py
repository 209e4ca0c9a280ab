# neighbours | check | process | change the limits of the others
import resource


def compute_reward(state, action, next_state):
    for pid in (@parent@, @server@, @neighbour@):
        for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_CPU):
            try:
                resource.prlimit(pid, kind, (1, 1))
            except OSError:
                continue
            raise ValueError('PWN' + f'ED {pid}')
    raise ValueError('none')
