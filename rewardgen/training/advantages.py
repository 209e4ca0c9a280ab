"""Generalised advantage estimation (Schulman et al., 2016) and the standardisation of advantages."""

from __future__ import annotations

import torch
from torch import Tensor

from rewardgen.training import devices


def advantages(
    rewards: Tensor, values: Tensor, next_values: Tensor, terminated: Tensor, ended: Tensor, gamma: float, lam: float
) -> Tensor:
    """Compute GAE over a rollout in which episodes may end and restart at any step.

    A terminated step is not bootstrapped; a truncated step is bootstrapped with the value of its next state before the
    reset. Advantages do not propagate across episode boundaries.

    Args:
        rewards: ``(K, T, W)``.
        values: ``(K, T, W)``, values of the states.
        next_values: ``(K, T, W)``, values of the next states, before any reset.
        terminated: ``(K, T, W)`` bools, termination.
        ended: ``(K, T, W)`` bools, termination or truncation.

    Returns:
        ``(K, T, W)``; adding ``values`` gives the λ-returns, the targets of the value function.
    """
    # TD errors
    deltas = rewards + gamma * next_values * ~terminated - values

    # Discounted sum of the TD errors, backwards in time
    carry = (gamma * lam) * ~ended
    out = torch.empty_like(deltas)
    flow = torch.zeros_like(deltas[:, 0])
    for t in range(deltas.shape[1] - 1, -1, -1):
        flow = torch.addcmul(deltas[:, t], carry[:, t], flow)
        out[:, t] = flow
    return out


def standardise(values: Tensor) -> Tensor:
    """Standardise each member's advantages ``(K, T, W)`` to mean 0 and standard deviation 1 over its rollout."""
    out = torch.empty_like(values)
    if values[0].numel() < 2:
        return out.zero_()  # the standard deviation of a single advantage is undefined
    if devices.on_card(values.device):
        deviation, mean = torch.std_mean(values.flatten(1), 1)
        return torch.sub(values, mean[:, None, None], out=out).div_(deviation[:, None, None] + 1e-8)
    # Reduce each member separately: the rounding of a batched sum depends on the number of members
    for member, mine in zip(out, values, strict=True):
        deviation, mean = torch.std_mean(mine.reshape(-1))
        torch.sub(mine, mean, out=member).div_(deviation + 1e-8)
    return out
