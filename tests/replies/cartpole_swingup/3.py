WIDE_ANGLE = 1.2        # rad: slope from the hanging position
NARROW_ANGLE = 0.2      # rad: exact balance
CART_SCALE = 0.5        # m
SPIN_SCALE = 1.5        # rad/s
CART_SPEED_SCALE = 1.0  # m/s


def compute_reward(state, action, next_state):
    """Bring the angle to upright, then settle the cart in the middle."""
    angle = wrap_angle(next_state.pole_angle)
    swing = 0.45 * exponential(angle, WIDE_ANGLE)
    balance = 0.35 * exponential(angle, NARROW_ANGLE)

    weight = torch.clamp(next_state.pole_upright, min=0.0).square()
    center = 0.3 * weight * proximity(next_state.cart_position.abs(), CART_SCALE)
    still = 0.15 * weight * (0.7 * gaussian(next_state.pole_velocity, SPIN_SCALE)
                             + 0.3 * gaussian(next_state.cart_velocity, CART_SPEED_SCALE))

    at_end = -0.1 * above(next_state.cart_position.abs(), 1.5, 0.2)

    total = swing + balance + center + still + at_end
    return total, {"swing": swing, "balance": balance, "center": center,
                   "still": still, "at_end": at_end}
