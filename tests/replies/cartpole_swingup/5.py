POSITION_UNIT = 1.0     # m
SPEED_UNIT = 4.0        # m/s
SPIN_UNIT = 8.0         # rad/s
ANGLE_UNIT = 0.6        # 1: of the length 2 sin(angle / 2)
UPRIGHT_COS = 0.95      # 1
UPRIGHT_MARGIN = 0.5    # 1
FULL_ENERGY = 29.4      # (rad/s)^2: from hanging to upright, pole of about 1 m


def compute_reward(state, action, next_state):
    """Closeness of the whole state to the balanced rest, with a swing-up energy term."""
    chord_squared = 2.0 * (1.0 - next_state.pole_upright).clamp(min=0.0)
    cost = (chord_squared / ANGLE_UNIT ** 2
            + (next_state.cart_position / POSITION_UNIT).square()
            + (next_state.cart_velocity / SPEED_UNIT).square()
            + (next_state.pole_velocity / SPIN_UNIT).square())
    rest_closeness = 0.6 / (1.0 + 0.5 * cost)

    up = tolerance(next_state.pole_upright, UPRIGHT_COS, float("inf"), margin=UPRIGHT_MARGIN)
    upright = 0.7 * up * (0.4 + 0.6 * gaussian(next_state.cart_position, 0.6))

    energy = (0.5 * next_state.pole_velocity.square()
              + 0.5 * FULL_ENERGY * (next_state.pole_upright + 1.0)) / FULL_ENERGY
    pumped = 0.25 * gaussian((energy - 1.0).clamp(-2.0, 4.0), 0.5)

    effort = -0.01 * action.square().mean(-1)
    total = upright + rest_closeness + pumped + effort
    return total, {"upright": upright, "rest_closeness": rest_closeness,
                   "pumped": pumped, "effort": effort}
