# outputs | check | wire | a coroutine
async def compute_reward(state, action, next_state):
    return next_state.height, {}
