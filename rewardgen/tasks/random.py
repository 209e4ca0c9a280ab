"""Draw random numbers for resets: one stream per world, independent of the other worlds and of the device."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def _mix(value: Tensor) -> Tensor:
    """Apply SplitMix64's finaliser (Steele, Lea and Flood, 2014) to int64 with wrap-around."""

    def shift(x: Tensor, bits: int) -> Tensor:  # a logical right shift: int64's own keeps the sign
        return (x >> bits) & ((1 << (64 - bits)) - 1)

    value = (value ^ shift(value, 30)) * _MIX_1
    value = (value ^ shift(value, 27)) * _MIX_2
    return value ^ shift(value, 31)


class WorldRandom:
    """Draw numbers for ``k`` worlds that depend only on each world's ``stream`` and ``episode``.

    Args:
        stream: ``(k,)`` int64, one number per world (from its member's seed and its index in that member).
        episode: ``(k,)`` int64, number of episodes that the world has begun.
        dtype: of the returned values; they are computed in float64.
    """

    def __init__(self, stream: Tensor, episode: Tensor, dtype: torch.dtype = torch.float64) -> None:
        self._key = _mix(_mix(stream * _GOLDEN) + episode * _GOLDEN)
        self._dtype = dtype
        self._drawn = 0

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """``(k, *shape)``, uniform in ``[low, high)``."""
        return (low + (high - low) * self._unit(shape)).to(self._dtype)

    def normal(self, *shape: int) -> Tensor:
        """``(k, *shape)``, standard normal (Box and Muller, 1958)."""
        radius = torch.sqrt(-2.0 * torch.log1p(-self._unit(shape)))
        return (radius * torch.cos(2.0 * math.pi * self._unit(shape))).to(self._dtype)

    def _unit(self, shape: tuple[int, ...]) -> Tensor:
        size = math.prod(shape)
        counter = torch.arange(self._drawn + 1, self._drawn + size + 1, device=self._key.device)
        self._drawn += size
        bits = _mix(self._key[:, None] + counter * _GOLDEN)
        unit = ((bits >> 11) & ((1 << 53) - 1)).to(torch.float64) * 2.0**-53
        return unit.reshape(-1, *shape)
