# unicode | check | process | form feeds and line separators that count lines otherwise
x = 1

 import os

def compute_reward(state, action, next_state):
    return next_state.height, {}
