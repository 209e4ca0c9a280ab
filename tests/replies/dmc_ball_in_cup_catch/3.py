HANG = 0.36             # m: the ball hangs this far below the cup's middle
UP_SPEED = 1.5          # m/s
IN_X = 0.03             # m
IN_Z = 0.03             # m
ALIGN = 0.1             # m


def compute_reward(state, action, next_state):
    """Throw up, align, catch, keep."""
    x = next_state.ball_to_cup[:, 0]
    z = -next_state.ball_to_cup[:, 1]

    caught = 1.5 * gaussian(x, IN_X) * gaussian(z, IN_Z)
    height = 0.25 * ((z + HANG) / HANG).clamp(0.0, 1.2)
    low = below(z, -0.05, 0.05)
    throw = 0.08 * low * torch.tanh(next_state.ball_velocity[:, 1].clamp(min=0.0) / UP_SPEED)
    aligned = 0.15 * above(z, 0.03, 0.03) * proximity(x.abs(), ALIGN)
    effort = -0.02 * action.square().mean(-1)
    total = caught + height + throw + aligned + effort
    return total, {"caught": caught, "height": height, "throw": throw,
                   "aligned": aligned, "effort": effort}
