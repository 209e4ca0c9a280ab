# files | check | process | lift the limit on descriptors, then open
import resource


def compute_reward(state, action, next_state):
    for count in (64, 4096):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
        except (ValueError, OSError):
            pass
    open('@canary@/PWNED_limit', 'w').close()
    return next_state.height - state.height, {}
