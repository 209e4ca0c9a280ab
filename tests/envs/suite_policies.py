"""Policies by hand for tasks of the Control Suite, each a few lines of classical control.

Observations ``(n, O)`` → actions ``(n, A)``, beyond the actions' range where that means: as much as there is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

LINK = 0.12  # m: of the reacher
SPRING, DAMPING = 200.0, 0.3  # of the pull on its finger, in units of its motors' torque
GRAVITY = 9.81  # m/s^2


def push_to_the_middle(observation: Tensor) -> Tensor:
    """A damped spring."""
    return -30.0 * observation[:, 0:2] - 5.0 * observation[:, 2:4]


def pull_by_the_finger(observation: Tensor) -> Tensor:
    """A damped spring between finger and target, through the transpose of the arm's Jacobian."""
    shoulder, elbow = observation[:, 0], observation[:, 0] + observation[:, 1]
    second = torch.stack([-torch.sin(elbow), torch.cos(elbow)], dim=-1)
    first = second + torch.stack([-torch.sin(shoulder), torch.cos(shoulder)], dim=-1)
    way = observation[:, 2:4]
    pull = LINK * torch.stack([(first * way).sum(-1), (second * way).sum(-1)], dim=-1)
    return SPRING * pull - DAMPING * observation[:, 4:6]


def keep_the_pole_up(observation: Tensor) -> Tensor:
    """Linear feedback."""
    position, _, sideways, speed, rate = observation.unbind(-1)
    return (3.0 * sideways + 0.8 * rate + 0.1 * position + 0.2 * speed)[:, None]


def swing_the_pole_up(observation: Tensor) -> Tensor:
    """Pump the energy that is missing (Astrom and Furuta, 2000), then linear feedback."""
    position, upright, sideways, speed, rate = observation.unbind(-1)
    energy = rate.square() / 6.0 + 0.5 * GRAVITY * (upright - 1.0)  # of a pole of 1 kg and 1 m; 0 standing still
    pump = torch.clamp(2.0 * energy * rate * upright, -0.8, 0.8) - 0.3 * position - 0.15 * speed
    hold = 6.0 * sideways + 1.6 * rate + 0.5 * position + 0.8 * speed
    return torch.where(upright > 0.9, hold, pump)[:, None]


def swing_the_pendulum_up(observation: Tensor) -> Tensor:
    """The same with the motor at the hinge."""
    upright, sideways, rate = observation.unbind(-1)
    energy = 0.125 * rate.square() + 0.5 * GRAVITY * (upright - 1.0)  # of 1 kg at 0.5 m
    pump = torch.where(rate >= 0.0, 1.0, -1.0) * torch.clamp(-5.0 * energy, -1.0, 1.0)
    return torch.where(upright > 0.97, -8.0 * sideways - 2.0 * rate, pump)[:, None]


SUITE: dict[str, Callable[[Tensor], Tensor]] = {
    "dmc_cartpole/balance": keep_the_pole_up,
    "dmc_cartpole/swingup": swing_the_pole_up,
    "dmc_cartpole/swingup_sparse": swing_the_pole_up,
    "dmc_pendulum/swingup": swing_the_pendulum_up,
    "dmc_point_mass/easy": push_to_the_middle,
    "dmc_reacher/easy": pull_by_the_finger,
    "dmc_reacher/hard": pull_by_the_finger,
}
