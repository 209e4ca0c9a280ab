INSIDE = 0.025          # m: the ball is in the cup within this of its middle
INSIDE_MARGIN = 0.03    # m
HEIGHT_SCALE = 0.12     # m: the ball hangs about 0.36 below the middle
SIDE_SCALE = 0.08       # m


def compute_reward(state, action, next_state):
    """Ball up, over the cup, into it."""
    side = next_state.ball_to_cup[:, 0]
    height = -next_state.ball_to_cup[:, 1]

    caught = (tolerance(side, -INSIDE, INSIDE, margin=INSIDE_MARGIN)
              * tolerance(height, -INSIDE, INSIDE, margin=INSIDE_MARGIN))
    rise = 0.2 * torch.sigmoid((height.clamp(max=0.05) + 0.1) / HEIGHT_SCALE)
    over = 0.2 * torch.sigmoid((height + 0.01) / 0.015) * exponential(side, SIDE_SCALE)
    effort = -0.01 * action.square().mean(-1)
    total = caught + rise + over + effort
    return total, {"caught": caught, "rise": rise, "over": over, "effort": effort}
