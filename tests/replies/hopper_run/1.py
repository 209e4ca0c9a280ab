PITCH_SCALE = 0.12      # rad
RATE_SCALE = 3.0        # rad/s
TOP_SPEED = 6.0         # m/s: only to keep the value finite and sane


def compute_reward(state, action, next_state):
    """Forward speed with a level torso."""
    speed = next_state.torso_velocity[:, 0].clamp(-1.0, TOP_SPEED)
    level = 0.4 + 0.6 * gaussian(next_state.torso_pitch, PITCH_SCALE)
    run = torch.where(speed > 0.0, speed * level, 0.5 * speed)

    alive = 0.3 * torch.ones_like(speed)
    tumbling = -0.1 * torch.tanh((next_state.pitch_rate / RATE_SCALE).square())
    effort = -0.03 * action.square().mean(-1)
    total = run + alive + tumbling + effort
    return total, {"run": run, "alive": alive, "tumbling": tumbling, "effort": effort}
