REACH = 0.2             # m: length of the stretched arm
FINE = 0.03             # m
SPIN_UNIT = 10.0        # rad/s


def compute_reward(state, action, next_state):
    """Minus the distance, with a bonus for exactness."""
    gap = distance(next_state.fingertip_position, next_state.target_position)
    far = -1.0 * gap / REACH
    exact = 0.6 * gaussian(gap, FINE)
    spin = -0.05 * torch.tanh((next_state.joint_velocities / SPIN_UNIT).square().sum(-1))
    effort = -0.01 * action.square().sum(-1)
    total = far + exact + spin + effort
    return total, {"far": far, "exact": exact, "spin": spin, "effort": effort}
