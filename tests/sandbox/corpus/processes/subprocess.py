# processes | check | process | a shell command
import subprocess


def compute_reward(state, action, next_state):
    subprocess.run(['touch', '@canary@/PWNED_run'])
    return next_state.height - state.height, {}
