CENTER_SCALE = 0.8      # m: the cart counts as near the middle within about this distance
SPIN_MARGIN = 6.0       # rad/s: pole speed at which the calm factor has nearly faded
HOLD_ANGLE = 0.25       # rad: width of the bonus for being upright
END_START = 1.45        # m: beyond this the rail end is close
END_MARGIN = 0.25       # m


def compute_reward(state, action, next_state):
    """Swing the pole up and hold it upright near the middle of the rail."""
    height = 0.5 * (1.0 + next_state.pole_upright)
    centered = 0.5 + 0.5 * gaussian(next_state.cart_position, CENTER_SCALE)
    calm = 0.5 + 0.5 * tolerance(next_state.pole_velocity, margin=SPIN_MARGIN)
    raised = 0.7 * height * centered * calm

    angle = wrap_angle(next_state.pole_angle)
    hold = 0.5 * gaussian(angle, HOLD_ANGLE) * centered * calm

    rail_end = -0.15 * above(next_state.cart_position.abs(), END_START, END_MARGIN)
    effort = -0.01 * action.square().mean(-1)

    total = raised + hold + rail_end + effort
    return total, {"raised": raised, "hold": hold, "rail_end": rail_end, "effort": effort}
