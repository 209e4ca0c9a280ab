LEAN_LIMIT = 0.2        # rad: the episode ends here
BACKWARD_LIMIT = -1.0   # m/s: slower than this is not punished further
JOINT_SPEED_UNIT = 10.0 # rad/s


def compute_reward(state, action, next_state):
    """Hop forward fast without toppling."""
    speed = next_state.torso_velocity[:, 0].clamp(BACKWARD_LIMIT, 10.0)
    lean = (next_state.torso_pitch / LEAN_LIMIT).abs().clamp(max=1.0)
    forward = 0.8 * speed
    upright = 0.4 * (1.0 - lean.square())
    thrash = -0.05 * torch.tanh((next_state.joint_velocities / JOINT_SPEED_UNIT).square().mean(-1))
    effort = -0.02 * action.square().mean(-1)
    total = forward + upright + thrash + effort
    return total, {"forward": forward, "upright": upright, "thrash": thrash, "effort": effort}
