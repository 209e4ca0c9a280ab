"""Which checkpoints a text shows, and means of what is finite."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pick(count: int, most: int) -> list[int]:
    """At most ``most`` of ``range(count)``, evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(count))
    if most == 1:
        return [count - 1]
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


def mean(values: Sequence[float]) -> float:
    """The mean of the finite ``values``, NaN without any."""
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan
