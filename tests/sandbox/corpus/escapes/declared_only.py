# escapes | check | process | a builtin whose name is declared and never set
open: int


def compute_reward(state, action, next_state):
    open('@canary@/PWNED_declared', 'w')
    return next_state.height - state.height, {}
