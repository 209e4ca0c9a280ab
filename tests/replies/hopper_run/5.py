LEAN_LIMIT = 0.2        # rad
HOP_SPEED = 1.0         # m/s: upward speed of a decent hop
RUN_SPEED = 1.0         # m/s: forward speed at which hops count in full
JOINT_LIMIT_SOFT = 15.0 # rad/s


def compute_reward(state, action, next_state):
    """Hop forward."""
    vx = next_state.torso_velocity[:, 0]
    vz = next_state.torso_velocity[:, 1]
    speed = vx.clamp(-1.0, 8.0)

    takeoff = 0.15 * torch.tanh(vz.clamp(min=0.0) / HOP_SPEED) * torch.tanh(vx.clamp(min=0.0) / RUN_SPEED)
    survive = 0.33 * torch.ones_like(vx)
    lean = -0.2 * (next_state.torso_pitch / LEAN_LIMIT).square().clamp(max=1.5)
    over_speed = (next_state.joint_velocities.abs() - JOINT_LIMIT_SOFT).clamp(min=0.0) / JOINT_LIMIT_SOFT
    rough = -0.1 * torch.tanh(over_speed.sum(-1)) - 0.02 * action.square().mean(-1)

    total = speed + takeoff + survive + lean + rough
    return total, {"speed": speed, "takeoff": takeoff, "survive": survive,
                   "lean": lean, "rough": rough}
