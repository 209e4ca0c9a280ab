ON_TARGET = 0.01        # m
TAIL = 0.15             # m: the long tail has fallen to a tenth here
FARTHEST = 0.4          # m: the largest distance possible
REST_SPEED = 8.0        # rad/s


def compute_reward(state, action, next_state):
    """On the target, and at rest there."""
    gap = distance(next_state.fingertip_position, next_state.target_position)
    on_target = 0.9 * tolerance(gap, 0.0, ON_TARGET, margin=TAIL, shape="long_tail")
    nearer = 0.5 * (1.0 - gap / FARTHEST)
    ratio = next_state.joint_velocities / REST_SPEED
    restless = -0.06 * torch.tanh(ratio.square().mean(-1))
    effort = -0.02 * action.square().mean(-1)
    total = on_target + nearer + restless + effort
    return total, {"on_target": on_target, "nearer": nearer,
                   "restless": restless, "effort": effort}
