SLOW_SPEED = 0.5        # m/s: the size of the first useful speeds
LEAN_SCALE = 0.15       # rad
HEIGHT_LOW = 0.9        # m
HEIGHT_MARGIN = 0.15    # m


def compute_reward(state, action, next_state):
    """Any forward motion first, then as fast as it can."""
    vx = next_state.torso_velocity[:, 0]
    balanced = (gaussian(next_state.torso_pitch, LEAN_SCALE)
                * above(next_state.torso_position[:, 1], HEIGHT_LOW, HEIGHT_MARGIN))

    first_steps = 0.5 * torch.tanh(vx / SLOW_SPEED) * (0.3 + 0.7 * balanced)
    fast = 0.8 * vx.clamp(0.0, 8.0)
    stable = 0.25 * balanced
    pitching = -0.05 * torch.tanh(next_state.pitch_rate.abs() / 4.0)
    effort = -0.02 * action.square().mean(-1)
    total = fast + first_steps + stable + pitching + effort
    return total, {"fast": fast, "first_steps": first_steps, "stable": stable,
                   "pitching": pitching, "effort": effort}
