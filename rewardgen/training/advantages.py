"""What a rollout's rewards say about its actions: generalised advantage estimation (Schulman et al., 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from rewardgen.training import devices


def advantages(
    rewards: Tensor, values: Tensor, next_values: Tensor, terminated: Tensor, ended: Tensor, gamma: float, lam: float
) -> Tensor:
    """GAE over a rollout in which worlds may end and begin anew at any step.

    A terminated step is worth its reward alone; a truncated one is bootstrapped with the value of the state it truly
    led to. No advantage flows from one episode into the one before it.

    Args:
        rewards: ``(K, T, W)``.
        values: ``(K, T, W)``, the value of the state each step began in.
        next_values: ``(K, T, W)``, the value of the state it led to, before any reset.
        terminated: ``(K, T, W)`` bools, an end by failure.
        ended: ``(K, T, W)`` bools, any end: termination or truncation.

    Returns:
        ``(K, T, W)``; adding ``values`` gives the λ-returns that the value function is fitted to.
    """
    deltas = rewards + gamma * next_values * ~terminated - values
    carry = (gamma * lam) * ~ended
    out = torch.empty_like(deltas)
    flow = torch.zeros_like(deltas[:, 0])
    for t in range(deltas.shape[1] - 1, -1, -1):
        flow = torch.addcmul(deltas[:, t], carry[:, t], flow)
        out[:, t] = flow
    return out


def standardise(values: Tensor) -> Tensor:
    """Each member's advantages to mean 0 and standard deviation 1, over its whole rollout."""
    out = torch.empty_like(values)
    if values[0].numel() < 2:
        return out.zero_()  # a single action is neither better nor worse than the others
    if devices.on_card(values.device):
        deviation, mean = torch.std_mean(values.flatten(1), 1)
        return torch.sub(values, mean[:, None, None], out=out).div_(deviation[:, None, None] + 1e-8)
    # a member's sums must not depend on how many others there are, so each is reduced on its own
    for member, mine in zip(out, values, strict=True):
        deviation, mean = torch.std_mean(mine.reshape(-1))
        torch.sub(mine, mean, out=member).div_(deviation + 1e-8)
    return out
