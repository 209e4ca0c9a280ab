LEAN_TARGET = 0.1       # rad: slightly forward
LEAN_SCALE = 0.4        # rad
HEIGHT_SCALE = 0.2      # m
STAND = 1.2             # m
HIP_SWING = 4.0         # rad/s
GAIT_SPEED = 2.0        # m/s


def compute_reward(state, action, next_state):
    """Run with alternating legs."""
    vx = next_state.torso_velocity[:, 0]
    speed = 0.7 * vx.clamp(-1.5, 12.0)

    swing = next_state.joint_velocities[:, 0] - next_state.joint_velocities[:, 3]
    common = next_state.joint_velocities[:, 0] + next_state.joint_velocities[:, 3]
    opposite = torch.tanh(swing.abs() / HIP_SWING) - torch.tanh(common.abs() / HIP_SWING)
    gait = 0.15 * opposite * torch.tanh(vx.clamp(min=0.0) / GAIT_SPEED)

    sag = (STAND - next_state.torso_position[:, 1]).clamp(min=0.0)
    posture = 0.35 * gaussian(sag, HEIGHT_SCALE) * gaussian(next_state.torso_pitch - LEAN_TARGET, LEAN_SCALE)
    wobble = -0.05 * torch.tanh(next_state.pitch_rate.abs() / 5.0)
    effort = -0.02 * action.square().mean(-1)
    total = speed + gait + posture + wobble + effort
    return total, {"speed": speed, "gait": gait, "posture": posture,
                   "wobble": wobble, "effort": effort}
