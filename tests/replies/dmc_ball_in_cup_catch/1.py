ANCHOR = 0.06           # m: the string's end lies this far below the cup's middle
STRING = 0.3            # m
GRAVITY = 9.81          # m/s^2
EPS = 1e-4              # m^2
CLOSE = 0.05            # m
CAUGHT = 0.02           # m


def compute_reward(state, action, next_state):
    """Pump the ball up around the cup, then catch and keep it."""
    ball = -next_state.ball_to_cup
    x = ball[:, 0]
    z = ball[:, 1] + ANCHOR
    radius = torch.sqrt(x.square() + z.square() + EPS)
    above_anchor = 0.15 * 0.5 * (1.0 + z / radius)

    relative = next_state.ball_velocity - next_state.cup_velocity
    energy = 0.5 * squared_norm(relative) + GRAVITY * (z + STRING)
    enough = GRAVITY * 1.6 * STRING
    pumped = 0.15 * torch.tanh((energy / enough).clamp(0.0, 3.0)) * below(energy, 3.0 * enough, enough)

    gap = ball.norm(dim=-1)
    from_above = torch.sigmoid((ball[:, 1] + 0.03) / 0.01)
    closing = 0.3 * exponential(gap, CLOSE) * from_above
    caught = 1.0 * gaussian(gap, CAUGHT)
    total = caught + closing + above_anchor + pumped
    return total, {"caught": caught, "closing": closing,
                   "above_anchor": above_anchor, "pumped": pumped}
