"""The bounded term that rewards are composed from, tasks' own and written ones, after dm_control's ``utils.rewards``.

It uses torch and math only, so that an exported reward can carry it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def tolerance(
    x: Tensor,
    lower: float = 0.0,
    upper: float = 0.0,
    margin: float = 0.0,
    shape: str = "gaussian",
    value_at_margin: float = 0.1,
) -> Tensor:
    """1 where lower <= x <= upper, falling towards 0 outside; value_at_margin at a distance of margin from the bounds.

    shape is "gaussian", "linear" or "long_tail". With margin 0 it is 0 outside. An infinite bound leaves a side open.

    Raises:
        ValueError: the bounds are the wrong way round, the margin is negative, value_at_margin is not between 0 and 1
            (0 itself is for "linear" alone) or there is no such shape.
    """
    if lower > upper:
        raise ValueError(f"tolerance needs lower <= upper, not {lower} and {upper}")
    if margin < 0:
        raise ValueError(f"tolerance needs margin >= 0, not {margin}")
    if not (0 < value_at_margin < 1 or (value_at_margin == 0 and shape == "linear")):
        raise ValueError(f"tolerance needs 0 < value_at_margin < 1, not {value_at_margin}")
    outside = torch.clamp(lower - x, min=0.0) + torch.clamp(x - upper, min=0.0)
    if margin == 0:
        return (outside == 0).to(x.dtype)
    d = outside / margin
    if shape == "gaussian":
        return torch.exp(math.log(value_at_margin) * d**2)
    if shape == "linear":
        return torch.clamp(1.0 - (1.0 - value_at_margin) * d, min=0.0)
    if shape == "long_tail":
        return 1.0 / (1.0 + (1.0 / value_at_margin - 1.0) * d**2)
    raise ValueError(f'tolerance has the shapes "gaussian", "linear" and "long_tail", not {shape!r}')
