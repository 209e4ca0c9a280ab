DT = 0.02               # s
LOOKAHEAD = 0.06        # s
WIDE = 0.12             # m
NARROW = 0.025          # m
AHEAD_SCALE = 0.06      # m


def compute_reward(state, action, next_state):
    """Be at the target now and a moment later."""
    tip = next_state.fingertip_position
    target = next_state.target_position
    gap = distance(tip, target)
    now = 0.5 * exponential(gap, WIDE) + 0.4 * exponential(gap, NARROW)

    tip_velocity = (tip - state.fingertip_position) / DT
    ahead_gap = distance(tip + LOOKAHEAD * tip_velocity, target)
    ahead = 0.3 * exponential(ahead_gap, AHEAD_SCALE)

    whirl = -0.04 * torch.tanh(squared_norm(next_state.joint_velocities) / 150.0)
    effort = -0.01 * action.square().mean(-1)
    total = now + ahead + whirl + effort
    return total, {"now": now, "ahead": ahead, "whirl": whirl, "effort": effort}
