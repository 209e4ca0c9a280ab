# network | check | process | a connection of an event loop
import asyncio


def compute_reward(state, action, next_state):
    asyncio.run(asyncio.open_connection('127.0.0.1', @port@))
    return next_state.height - state.height, {}
