DT = 0.008              # s: control step
STAND_HEIGHT = 1.1      # m: a comfortable lower edge of the torso's height
HEIGHT_MARGIN = 0.4     # m: down to the height that ends the episode
LEAN_SCALE = 0.1        # rad


def compute_reward(state, action, next_state):
    """Displacement forward, with a standing torso."""
    velocity = (next_state.torso_position[:, 0] - state.torso_position[:, 0]) / DT
    progress = velocity.clamp(-2.0, 8.0)

    tall = 0.2 * tolerance(next_state.torso_position[:, 1], STAND_HEIGHT, float("inf"),
                           margin=HEIGHT_MARGIN, shape="linear")
    level = 0.2 * exponential(next_state.torso_pitch, LEAN_SCALE)
    effort = -0.02 * action.square().sum(-1)
    total = progress + tall + level + effort
    return total, {"progress": progress, "tall": tall, "level": level, "effort": effort}
