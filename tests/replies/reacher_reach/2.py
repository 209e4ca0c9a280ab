DT = 0.02               # s
NEAR = 0.08             # m
RATE_SCALE = 0.5        # m/s: a brisk approach
STAY_GAP = 0.025        # m
STAY_SPEED = 3.0        # rad/s


def compute_reward(state, action, next_state):
    """Approach quickly, then stay on the target."""
    gap_before = distance(state.fingertip_position, state.target_position)
    gap = distance(next_state.fingertip_position, next_state.target_position)

    closeness = 0.8 * proximity(gap, NEAR)
    approach = 0.15 * torch.tanh((gap_before - gap) / DT / RATE_SCALE)
    joint_speed = next_state.joint_velocities.norm(dim=-1)
    stay = 0.4 * gaussian(gap, STAY_GAP) * (0.3 + 0.7 * exponential(joint_speed, STAY_SPEED))
    effort = -0.015 * action.square().mean(-1)
    total = closeness + approach + stay + effort
    return total, {"closeness": closeness, "approach": approach, "stay": stay, "effort": effort}
