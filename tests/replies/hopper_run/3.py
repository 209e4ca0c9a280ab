SPEED_WEIGHT = 1.0
ALIVE = 0.5             # per step: as much as hopping at 0.5 m/s
LOOKAHEAD = 0.05        # s: how far the lean is extrapolated
LEAN_TARGET = 0.03      # rad: a slight lean forward
LEAN_SCALE = 0.15       # rad
VIOLENT = 12.0          # rad/s
VIOLENT_MARGIN = 6.0    # rad/s


def compute_reward(state, action, next_state):
    """Run forward, stay alive, see the fall coming, do not thrash."""
    forward = SPEED_WEIGHT * next_state.torso_velocity[:, 0].clamp(-1.5, 8.0)
    alive = ALIVE * torch.ones_like(forward)
    coming_lean = next_state.torso_pitch + LOOKAHEAD * next_state.pitch_rate
    falling = -0.25 * torch.tanh(((coming_lean - LEAN_TARGET) / LEAN_SCALE).square())
    violent = -0.1 * above(next_state.joint_velocities.abs(), VIOLENT, VIOLENT_MARGIN).mean(-1)
    effort = -0.01 * action.square().mean(-1)
    total = forward + alive + falling + violent + effort
    return total, {"forward": forward, "alive": alive, "falling": falling,
                   "violent": violent, "effort": effort}
