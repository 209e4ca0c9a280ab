"""Running statistics that each member keeps of its own data, and the two scales that PPO needs from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rewardgen.saved import Saved, section, tensor, value
from rewardgen.training import devices

_CLIP = 10.0  # both scales are cut off at ten standard deviations, as Stable-Baselines3's VecNormalize does


class RunningMoments:
    """Mean and variance of all rows seen so far, per member, merged batch by batch (Chan, Golub and LeVeque, 1979).

    ``mean`` and ``variance`` are ``(K, *shape)`` float64; before the first update they are 0 and 1.
    """

    def __init__(self, members: int, *shape: int, device: torch.device | str = "cpu") -> None:
        self.mean = torch.zeros(members, *shape, dtype=torch.float64, device=device)
        self.variance = torch.ones(members, *shape, dtype=torch.float64, device=device)
        self.count = 0

    def update(self, rows: Tensor) -> None:
        """Take in ``rows`` ``(K, N, *shape)``."""
        if devices.on_card(rows.device):
            variance, mean = torch.var_mean(rows, 1, correction=0)  # Welford's, so float32 will do
            self._merge(self.mean, self.variance, mean.double(), variance.double(), rows.shape[1])
        else:  # one member at a time: its sums must not depend on how many others there are
            for k, mine in enumerate(rows):
                variance, mean = torch.var_mean(mine.double(), 0, correction=0)
                self._merge(self.mean[k], self.variance[k], mean, variance, rows.shape[1])
        self.count += rows.shape[1]

    def _merge(self, mean: Tensor, variance: Tensor, fresh_mean: Tensor, fresh_variance: Tensor, fresh: int) -> None:
        """Change ``mean`` and ``variance``, of ``count`` rows, to those with ``fresh`` more rows."""
        total = self.count + fresh
        delta = fresh_mean - mean
        spread = fresh_variance * fresh + delta.square() * (self.count * fresh / total)
        if self.count:
            spread += variance * self.count
        mean += delta * (fresh / total)
        torch.div(spread, total, out=variance)

    def save(self) -> dict[str, Any]:
        return {"mean": self.mean, "variance": self.variance, "count": self.count}

    def restore(self, saved: Saved) -> None:
        self.mean, self.variance = tensor(saved, "mean", self.mean), tensor(saved, "variance", self.variance)
        self.count = value(saved, "count", int)

    def keep(self, members: Sequence[int]) -> None:
        """Go on with these members alone."""
        self.mean, self.variance = self.mean[list(members)], self.variance[list(members)]


class ObservationScale:
    """Observations to mean 0 and standard deviation 1 with each member's running statistics, cut off at ±10."""

    def __init__(self, members: int, size: int, device: torch.device | str = "cpu") -> None:
        self.moments = RunningMoments(members, size, device=device)
        self._refresh()

    def update(self, observation: Tensor) -> None:
        """Take in ``(K, N, O)``. Until the next call the scale stays as it is now."""
        self.moments.update(observation)
        self._refresh()

    def load(self, member: int, mean: Tensor, variance: Tensor) -> None:
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
        """``(K, N, O)`` → the same shape, float32."""
        shifted = torch.addcmul(self._offset, observation, self._factor, out=out)
        return shifted.clamp_(-_CLIP, _CLIP)

    def _refresh(self) -> None:
        factor = torch.rsqrt(self.moments.variance + 1e-8)
        self._factor = factor.float().unsqueeze(1)
        self._offset = (-self.moments.mean * factor).float().unsqueeze(1)


class RewardScale:
    """Rewards in units of the running standard deviation of the discounted return, per member, cut off at ±10.

    The scale only: subtracting a mean would change what an early end is worth.
    """

    def __init__(self, members: int, worlds: int, gamma: float, device: torch.device | str = "cpu") -> None:
        self._gamma = gamma
        self._returns = torch.zeros(members, worlds, device=device)
        self.moments = RunningMoments(members, device=device)

    def __call__(self, rewards: Tensor, ended: Tensor) -> Tensor:
        """Take in the ``rewards`` ``(K, T, W)`` of a rollout with its ``ended`` ``(K, T, W)`` and give them scaled."""
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
        """Go on with these members alone."""
        self._returns = self._returns[list(members)]
        self.moments.keep(members)

    def forget(self, member: int) -> None:
        """Drop what a failed member left behind, so that nothing of it is carried on."""
        self._returns[member] = 0.0
        self.moments.mean[member] = 0.0
        self.moments.variance[member] = 1.0
