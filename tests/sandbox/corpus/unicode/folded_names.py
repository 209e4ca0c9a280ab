# unicode | check | process | mathematical letters that fold to __import__
def compute_reward(state, action, next_state):
    __𝐢𝐦𝐩𝐨𝐫𝐭__('os').open('@canary@/PWNED_fold', 66)
    return next_state.height, {}
