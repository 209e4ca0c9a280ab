GRAVITY_RATE = 14.7     # rad/s^2: 1.5 g / length for a uniform pole of about 1 m
ENERGY_SPAN = 29.4      # (rad/s)^2: energy between hanging and upright
ENERGY_SCALE = 0.5      # 1: share of the span over which the energy term fades
ANGLE_SCALE = 0.35      # rad
SPIN_SCALE = 2.5        # rad/s
CART_SCALE = 0.6        # m


def pole_energy(s):
    kinetic = 0.5 * s.pole_velocity.square()
    potential = GRAVITY_RATE * (s.pole_upright - 1.0)
    return (kinetic + potential) / ENERGY_SPAN


def compute_reward(state, action, next_state):
    """Pump the pole's energy to that of the upright rest, then balance in the middle."""
    energy_error = pole_energy(next_state).clamp(-3.0, 3.0)
    energy = 0.35 * exponential(energy_error, ENERGY_SCALE)

    angle = wrap_angle(next_state.pole_angle)
    slow = 0.3 + 0.7 * gaussian(next_state.pole_velocity, SPIN_SCALE)
    near_middle = 0.4 + 0.6 * gaussian(next_state.cart_position, CART_SCALE)
    balance = 1.2 * exponential(angle, ANGLE_SCALE) * slow * near_middle

    height = 0.15 * (next_state.pole_upright + 1.0)
    off_center = -0.08 * (next_state.cart_position / 1.8).square().clamp(max=1.5)
    effort = -0.01 * action.square().mean(-1)

    total = balance + energy + height + off_center + effort
    return total, {"balance": balance, "energy": energy, "height": height,
                   "off_center": off_center, "effort": effort}
