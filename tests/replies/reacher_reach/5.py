FAR = 0.2               # m
PEAK = 0.03             # m
RADIUS_SCALE = 0.06     # m
EPS = 1e-6              # m^2
DAMP_SPEED = 6.0        # rad/s


def compute_reward(state, action, next_state):
    """Right radius by the elbow, right bearing by the shoulder, hence on the target."""
    tip = next_state.fingertip_position
    target = next_state.target_position
    gap = distance(tip, target)

    approach = 0.5 * proximity(gap, FAR)
    peak = 0.6 * exponential(gap, PEAK)

    tip_radius = torch.sqrt(squared_norm(tip) + EPS)
    target_radius = torch.sqrt(squared_norm(target) + EPS)
    bearing = (tip * target).sum(-1) / (tip_radius * target_radius)
    radius = exponential(tip_radius - target_radius, RADIUS_SCALE)
    polar = 0.08 * (0.5 * (1.0 + bearing)) + 0.07 * radius

    speed = next_state.joint_velocities.norm(dim=-1)
    damping = -0.08 * exponential(gap, 0.05) * torch.tanh(speed / DAMP_SPEED)
    effort = -0.01 * action.square().mean(-1)
    total = peak + approach + polar + damping + effort
    return total, {"peak": peak, "approach": approach, "polar": polar,
                   "damping": damping, "effort": effort}
