# definitions | check | process | an object in the place of the function
class C:
    def __call__(self, *given):
        open('@canary@/PWNED_call', 'w')


compute_reward = C()
