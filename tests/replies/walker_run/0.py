SPEED_WEIGHT = 0.6      # per m/s
TALL = 1.1              # m
TALL_MARGIN = 0.3       # m
LEAN_SCALE = 0.4        # rad


def compute_reward(state, action, next_state):
    """Run forward with the torso up."""
    forward = SPEED_WEIGHT * next_state.torso_velocity[:, 0].clamp(-2.0, 12.0)
    tall = tolerance(next_state.torso_position[:, 1], TALL, float("inf"), margin=TALL_MARGIN)
    posture = 0.4 * tall * gaussian(next_state.torso_pitch, LEAN_SCALE)
    effort = -0.03 * action.square().mean(-1)
    total = forward + posture + effort
    return total, {"forward": forward, "posture": posture, "effort": effort}
