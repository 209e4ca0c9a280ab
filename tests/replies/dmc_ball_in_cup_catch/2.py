WAYPOINT = 0.12         # m above the cup's middle
PATH_SCALE = 0.2        # m
BLEND = 0.02            # m
INSIDE = 0.025          # m
INSIDE_MARGIN = 0.025   # m
QUIET = 0.4             # m/s


def compute_reward(state, action, next_state):
    """Over the rim by a waypoint, down into the cup, and stay."""
    ball = -next_state.ball_to_cup
    x = ball[:, 0]
    z = ball[:, 1]
    is_above = torch.sigmoid(z / BLEND)

    to_waypoint = torch.sqrt(x.square() + (z - WAYPOINT).square() + 1e-6)
    to_middle = torch.sqrt(x.square() + z.square() + 1e-6)
    below_path = 0.2 * (1.0 - is_above) * exponential(to_waypoint, PATH_SCALE)
    above_path = is_above * (0.15 + 0.2 * exponential(to_middle, 0.1))

    inside = (tolerance(x, -INSIDE, INSIDE, margin=INSIDE_MARGIN)
              * tolerance(z, -INSIDE, INSIDE, margin=INSIDE_MARGIN))
    relative = (next_state.ball_velocity - next_state.cup_velocity).norm(dim=-1)
    caught = 1.0 * inside
    kept = 0.2 * inside * exponential(relative, QUIET)
    effort = -0.01 * action.square().mean(-1)
    total = caught + kept + below_path + above_path + effort
    return total, {"caught": caught, "kept": kept, "below_path": below_path,
                   "above_path": above_path, "effort": effort}
