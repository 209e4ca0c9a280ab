def compute_reward(state, action, next_state):
    up = next_state.pole_upright.clone()
    total = up
    effort = -0.1 * next_state.cart_position.abs()
    total += effort
    return total, {"up": up, "effort": effort}
