# neighbours | check | process | lift its own limits
import resource


def compute_reward(state, action, next_state):
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        soft, hard = resource.getrlimit(kind)
        try:
            resource.setrlimit(kind, (hard + 1, hard + 1))
        except (OSError, ValueError):
            continue
        raise ValueError('PWN' + f'ED {kind}')
    raise ValueError('none')
