STEP_MARGIN = 0.25      # m: slope down to the hanging ball
OVER_SCALE = 0.06       # m
CATCH = 0.035           # m
REST = 0.1              # m


def compute_reward(state, action, next_state):
    """Whip up, meet from above, settle."""
    ball_x = -next_state.ball_to_cup[:, 0]
    ball_z = -next_state.ball_to_cup[:, 1]

    swing_up = 0.25 * above(ball_z.clamp(max=0.08), 0.0, STEP_MARGIN)
    high = above(ball_z, 0.0, 0.05)
    overhead = 0.2 * high * gaussian(ball_x, OVER_SCALE)

    gap = next_state.ball_to_cup.norm(dim=-1)
    in_cup = gaussian(gap, CATCH) * above(ball_z, -0.04, 0.02)
    catch = 1.1 * in_cup
    cup_offset = next_state.cup_position.norm(dim=-1)
    settle = 0.1 * in_cup * exponential(cup_offset, REST)
    effort = -0.01 * action.square().mean(-1)
    total = catch + overhead + swing_up + settle + effort
    return total, {"catch": catch, "overhead": overhead, "swing_up": swing_up,
                   "settle": settle, "effort": effort}
