"""Running statistics per member, and the normalisation of observations and rewards that PPO derives from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rewardgen.saved import Saved, section, tensor, value
from rewardgen.training import devices

_CLIP = 10.0  # clip both at ten standard deviations, as Stable-Baselines3's VecNormalize does


class RunningMoments:
    """Running mean and variance per member, updated batch by batch (Chan, Golub and LeVeque, 1979).

    ``mean`` and ``variance`` are ``(K, *shape)`` float64, 0 and 1 before the first update; ``count`` is the number of
    rows of each member so far.
    """

    def __init__(self, members: int, *shape: int, device: torch.device | str = "cpu") -> None:
        self.mean = torch.zeros(members, *shape, dtype=torch.float64, device=device)
        self.variance = torch.ones(members, *shape, dtype=torch.float64, device=device)
        self.count = 0

    def update(self, rows: Tensor) -> None:
        """Update the statistics with ``rows`` ``(K, N, *shape)``."""
        if devices.on_card(rows.device):
            variance, mean = torch.var_mean(rows, 1, correction=0)  # Welford's algorithm: float32 is accurate enough
            self._merge(self.mean, self.variance, mean.double(), variance.double(), rows.shape[1])
        else:
            # Reduce each member separately: the rounding of a batched sum depends on the number of members
            for k, mine in enumerate(rows):
                variance, mean = torch.var_mean(mine.double(), 0, correction=0)
                self._merge(self.mean[k], self.variance[k], mean, variance, rows.shape[1])
        self.count += rows.shape[1]

    def _merge(self, mean: Tensor, variance: Tensor, fresh_mean: Tensor, fresh_variance: Tensor, fresh: int) -> None:
        """Merge ``fresh`` more rows with the given mean and variance into ``mean`` and ``variance``, in place."""
        total = self.count + fresh
        delta = fresh_mean - mean
        spread = fresh_variance * fresh + delta.square() * (self.count * fresh / total)
        if self.count:  # the initial variance of 1 has no rows behind it
            spread += variance * self.count
        mean += delta * (fresh / total)
        torch.div(spread, total, out=variance)

    def save(self) -> dict[str, Any]:
        return {"mean": self.mean, "variance": self.variance, "count": self.count}

    def restore(self, saved: Saved) -> None:
        """Load what ``save`` returned; raise ValueError if it does not fit."""
        self.mean, self.variance = tensor(saved, "mean", self.mean), tensor(saved, "variance", self.variance)
        self.count = value(saved, "count", int)

    def keep(self, members: Sequence[int]) -> None:
        """Drop all members but ``members``."""
        self.mean, self.variance = self.mean[list(members)], self.variance[list(members)]


class ObservationScale:
    """Normalises observations to mean 0 and standard deviation 1 with each member's statistics, clipped to ±10."""

    def __init__(self, members: int, size: int, device: torch.device | str = "cpu") -> None:
        self.moments = RunningMoments(members, size, device=device)
        self._refresh()

    def update(self, observation: Tensor) -> None:
        """Update the statistics with observations ``(K, N, O)``; normalisation changes only here."""
        self.moments.update(observation)
        self._refresh()

    def load(self, member: int, mean: Tensor, variance: Tensor) -> None:
        """Set one member's statistics, ``(O,)`` each."""
        self.moments.mean[member] = mean
        self.moments.variance[member] = variance
        self._refresh()

    def save(self) -> dict[str, Any]:
        return self.moments.save()

    def restore(self, saved: Saved) -> None:
        self.moments.restore(saved)
        self._refresh()

    def keep(self, members: Sequence[int]) -> None:
        self.moments.keep(members)
        self._refresh()

    def __call__(self, observation: Tensor, out: Tensor | None = None) -> Tensor:
        """Return normalised observations, ``(K, N, O)`` float32 as the given ones."""
        shifted = torch.addcmul(self._offset, observation, self._factor, out=out)
        return shifted.clamp_(-_CLIP, _CLIP)

    def _refresh(self) -> None:
        """Recompute factor and offset ``(K, 1, O)``, so that normalising is one multiply-add."""
        factor = torch.rsqrt(self.moments.variance + 1e-8)
        self._factor = factor.float().unsqueeze(1)
        self._offset = (-self.moments.mean * factor).float().unsqueeze(1)


class RewardScale:
    """Divides rewards by the running standard deviation of the discounted return, per member, clipped to ±10.

    The mean is not subtracted: that would change the value of ending an episode early.
    """

    def __init__(self, members: int, worlds: int, gamma: float, device: torch.device | str = "cpu") -> None:
        self._gamma = gamma
        self._returns = torch.zeros(members, worlds, device=device)
        self.moments = RunningMoments(members, device=device)

    def __call__(self, rewards: Tensor, ended: Tensor) -> Tensor:
        """Update the statistics with a rollout's ``rewards`` and ``ended`` ``(K, T, W)``; return the scaled rewards."""
        # Discounted return so far in each world, carried over from rollout to rollout and reset with the episode
        returns = torch.empty_like(rewards)
        flow = self._returns
        for t in range(rewards.shape[1]):
            flow = torch.add(rewards[:, t], flow, alpha=self._gamma)
            returns[:, t] = flow
            flow = flow.masked_fill(ended[:, t], 0.0)
        self._returns = flow
        self.moments.update(returns.flatten(1))
        scale = torch.rsqrt(self.moments.variance + 1e-8).float()
        return (rewards * scale[:, None, None]).clamp_(-_CLIP, _CLIP)

    def save(self) -> dict[str, Any]:
        return {"returns": self._returns, "moments": self.moments.save()}

    def restore(self, saved: Saved) -> None:
        self._returns = tensor(saved, "returns", self._returns)
        self.moments.restore(section(saved, "moments"))

    def keep(self, members: Sequence[int]) -> None:
        """Drop all members but ``members``."""
        self._returns = self._returns[list(members)]
        self.moments.keep(members)

    def forget(self, member: int) -> None:
        """Reset a failed member's statistics, so that no NaN or infinity stays in the batch."""
        self._returns[member] = 0.0
        self.moments.mean[member] = 0.0
        self.moments.variance[member] = 1.0
