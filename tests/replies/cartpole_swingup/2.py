DT = 0.02               # s: control step
UPRIGHT_STEP = 0.9      # 1: cosine at which the pole begins to count as upright
UPRIGHT_MARGIN = 0.1    # 1
CENTER_MARGIN = 1.5     # m: the cart factor has fallen to a tenth here
W2 = 14.7               # rad/s^2: gravity over the pole's effective length
PUMP_SCALE = 1.0        # 1/s: energy share gained per second by a good push


def energy_gap(s):
    """0 with the energy of the upright rest, 1 hanging still, more when spinning fast."""
    energy = 0.5 * s.pole_velocity.square() + W2 * (s.pole_upright - 1.0)
    return (energy / (2.0 * W2)).abs().clamp(max=3.0)


def compute_reward(state, action, next_state):
    """Hold the pole up in the middle; pump energy to get there."""
    up = above(next_state.pole_upright, UPRIGHT_STEP, UPRIGHT_MARGIN)
    middle = 0.2 + 0.8 * tolerance(next_state.cart_position, -0.2, 0.2, margin=CENTER_MARGIN)
    held = up * middle

    climb = 0.25 * 0.5 * (next_state.pole_upright + 1.0) * middle

    gain = (energy_gap(state) - energy_gap(next_state)) / DT
    pump = 0.2 * torch.tanh(gain / PUMP_SCALE)

    jitter = -0.03 * up * torch.tanh(next_state.pole_velocity.square() / 9.0)
    drift = -0.03 * torch.tanh(next_state.cart_velocity.square() / 9.0)

    total = held + climb + pump + jitter + drift
    return total, {"held": held, "climb": climb, "pump": pump, "jitter": jitter, "drift": drift}
