# escapes | check | process | frames by a coroutine
def compute_reward(state, action, next_state):
    async def look():
        return 1
    c = look()
    scope = c.cr_frame.f_globals
    c.close()
    scope['__builtins__']['open']('@canary@/PWNED_coroutine', 'w')
