SWING_SPEED = 5.0       # rad/s: pole speed near the bottom of a swing that will reach the top
HOLD_ANGLE = 0.4        # rad
HOLD_SPIN = 3.0         # rad/s
HOLD_CART = 0.7         # m
RAIL_SCALE = 1.8        # m


def compute_reward(state, action, next_state):
    """Speed while low, height on the way, quiet balance at the top."""
    height = 0.5 * (1.0 + next_state.pole_upright)
    low = (1.0 - height).clamp(0.0, 1.0)
    swing_speed = 0.15 * low * torch.tanh((next_state.pole_velocity / SWING_SPEED).square())

    lift = 0.3 * height

    angle = wrap_angle(next_state.pole_angle)
    balanced = gaussian(angle, HOLD_ANGLE) * gaussian(next_state.pole_velocity, HOLD_SPIN)
    hold = balanced * (0.3 + 0.7 * gaussian(next_state.cart_position, HOLD_CART))

    off_middle = -0.1 * (next_state.cart_position / RAIL_SCALE).abs().clamp(max=1.2)
    effort = -0.02 * action.square().mean(-1) * height

    total = hold + lift + swing_speed + off_middle + effort
    return total, {"hold": hold, "lift": lift, "swing_speed": swing_speed,
                   "off_middle": off_middle, "effort": effort}
