FIRST_SPEED = 1.0       # m/s
LEAN_LIMIT = 1.0        # rad
TORSO_LOW = 1.0         # m
TORSO_MARGIN = 0.15     # m


def compute_reward(state, action, next_state):
    """First steps, then speed, both upright."""
    vx = next_state.torso_velocity[:, 0]
    lean = (next_state.torso_pitch / LEAN_LIMIT).clamp(-1.0, 1.0)
    upright = 1.0 - 0.7 * lean.square()

    first_steps = 0.4 * torch.tanh(vx / FIRST_SPEED) * upright
    fast = 0.6 * vx.clamp(0.0, 12.0) * upright
    high = 0.3 * above(next_state.torso_position[:, 1], TORSO_LOW, TORSO_MARGIN) * upright
    joint_rush = -0.04 * torch.tanh((next_state.joint_velocities / 20.0).square().mean(-1))
    effort = -0.02 * action.square().mean(-1)
    total = fast + first_steps + high + joint_rush + effort
    return total, {"fast": fast, "first_steps": first_steps, "high": high,
                   "joint_rush": joint_rush, "effort": effort}
