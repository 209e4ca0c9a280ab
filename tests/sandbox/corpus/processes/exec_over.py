# processes | check | process | become another program
import os


def compute_reward(state, action, next_state):
    os.execv('/bin/sh', ['sh', '-c', 'touch @canary@/PWNED_exec'])
