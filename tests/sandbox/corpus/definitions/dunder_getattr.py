# definitions | check | process | a module with its own lookup
def __getattr__(name):
    open('@canary@/PWNED_lookup', 'w')


compute_reward = open
