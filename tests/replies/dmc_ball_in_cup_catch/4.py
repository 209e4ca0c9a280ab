DT = 0.02               # s
CUP_HALF = 0.025        # m
CUP_MARGIN = 0.04       # m
WIDE = 0.15             # m
RATE = 1.0              # m/s


def lifted(s):
    """Height of the ball against the cup's middle, up to just above the rim."""
    return (-s.ball_to_cup[:, 1]).clamp(-0.4, 0.1)


def compute_reward(state, action, next_state):
    """In the cup; close to it from above; rising."""
    x = next_state.ball_to_cup[:, 0].abs()
    z = -next_state.ball_to_cup[:, 1]
    gap = next_state.ball_to_cup.norm(dim=-1)

    in_cup = tolerance(torch.maximum(x, z.abs()), 0.0, CUP_HALF, margin=CUP_MARGIN)
    side = 0.25 + 0.75 * torch.sigmoid((z + 0.02) / 0.02)
    near = 0.3 * exponential(gap, WIDE) * side
    rising = 0.1 * torch.tanh((lifted(next_state) - lifted(state)) / DT / RATE)
    high = 0.15 * (lifted(next_state) + 0.4) / 0.5
    effort = -0.01 * action.square().mean(-1)
    total = in_cup + near + rising + high + effort
    return total, {"in_cup": in_cup, "near": near, "rising": rising,
                   "high": high, "effort": effort}
