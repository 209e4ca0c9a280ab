# definitions | harmless | harmless | annotations that would run
def compute_reward(state: open('@canary@/PWNED_note', 'w'), action, next_state) -> print('x'):
    x: open('@canary@/PWNED_local', 'w') = next_state.height
    return x - state.height, {}
