DT = 0.008              # s
ALIVE = 0.4             # per step
AHEAD = 0.08            # s
LEAN_START = 0.5        # rad: warning half way
LEAN_MARGIN = 0.3       # rad
LOW = 0.95              # m
LOW_MARGIN = 0.1        # m


def compute_reward(state, action, next_state):
    """Cover ground, survive, and heed the coming lean."""
    velocity = (next_state.torso_position[:, 0] - state.torso_position[:, 0]) / DT
    progress = 0.8 * velocity.clamp(-2.0, 12.0)
    alive = ALIVE * torch.ones_like(progress)
    coming = (next_state.torso_pitch + AHEAD * next_state.pitch_rate).abs()
    tipping = -0.25 * above(coming, LEAN_START, LEAN_MARGIN)
    sinking = -0.15 * below(next_state.torso_position[:, 1], LOW, LOW_MARGIN)
    effort = -0.02 * action.square().mean(-1)
    total = progress + alive + tipping + sinking + effort
    return total, {"progress": progress, "alive": alive, "tipping": tipping,
                   "sinking": sinking, "effort": effort}
