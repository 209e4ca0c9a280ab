"""Select the checkpoints that a text shows, and average finite values."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pick(count: int, most: int) -> list[int]:
    """Pick at most ``most`` of ``range(count)``, evenly spaced, including the first and the last."""
    if count <= most:
        return list(range(count))
    # A single checkpoint: the last says most
    if most == 1:
        return [count - 1]
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


def mean(values: Sequence[float]) -> float:
    """Return the mean of the finite ``values``; NaN if there are none."""
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan
