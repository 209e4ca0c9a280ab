TOP_SPEED = 8.0         # m/s
STAND_HEIGHT = 1.1      # m
STAND_MARGIN = 0.4      # m
UPRIGHT_SCALE = 0.5     # rad
TURN_SCALE = 6.0        # rad/s


def compute_reward(state, action, next_state):
    """Stand, and the faster forward the better."""
    vx = next_state.torso_velocity[:, 0]
    stand = (tolerance(next_state.torso_position[:, 1], STAND_HEIGHT, 1.9, margin=STAND_MARGIN)
             * gaussian(next_state.torso_pitch, UPRIGHT_SCALE))
    ratio = vx.clamp(0.0, TOP_SPEED) / TOP_SPEED
    standing = 0.2 * stand
    running = 3.0 * stand * ratio
    drift = 0.2 * vx.clamp(-1.5, TOP_SPEED)
    turning = -0.08 * torch.tanh((next_state.pitch_rate / TURN_SCALE).square())
    effort = -0.02 * action.square().mean(-1)
    total = running + standing + drift + turning + effort
    return total, {"running": running, "standing": standing, "drift": drift,
                   "turning": turning, "effort": effort}
