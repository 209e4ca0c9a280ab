BACK_LEAN = 0.4         # rad
FORWARD_LEAN = 0.8      # rad
BOUNCE = 1.5            # m/s


def compute_reward(state, action, next_state):
    """Forward speed above all."""
    vx = next_state.torso_velocity[:, 0]
    vz = next_state.torso_velocity[:, 1]
    pitch = next_state.torso_pitch

    run = vx.clamp(-2.0, 15.0)
    alive = 0.25 * torch.ones_like(vx)
    scaled = torch.where(pitch < 0.0, pitch / BACK_LEAN, pitch / FORWARD_LEAN)
    lean = -0.2 * torch.tanh(scaled.square())
    bounce = -0.05 * torch.tanh((vz / BOUNCE).square())
    effort = -0.03 * action.square().mean(-1)
    total = run + alive + lean + bounce + effort
    return total, {"run": run, "alive": alive, "lean": lean, "bounce": bounce, "effort": effort}
