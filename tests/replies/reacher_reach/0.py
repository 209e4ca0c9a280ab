WIDE = 0.15             # m: typical distance at the start
NARROW = 0.02           # m: precision at the end
NEAR = 0.04             # m
SPEED_UNIT = 5.0        # rad/s


def compute_reward(state, action, next_state):
    """Close the distance from fingertip to target and stay."""
    gap = distance(next_state.fingertip_position, next_state.target_position)
    reach = 0.6 * exponential(gap, WIDE)
    precise = 0.5 * exponential(gap, NARROW)
    speed = squared_norm(next_state.joint_velocities / SPEED_UNIT)
    overshoot = -0.1 * gaussian(gap, NEAR) * torch.tanh(speed)
    effort = -0.01 * action.square().mean(-1)
    total = reach + precise + overshoot + effort
    return total, {"reach": reach, "precise": precise, "overshoot": overshoot, "effort": effort}
