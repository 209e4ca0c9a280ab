"""Numbers in few characters. Whatever is missing or not finite is written ``n/a``, never as a number."""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = "n/a"


def number(value: float | None) -> str:
    """About three significant digits: 1432, 87.4, 0.52, 0.0031, 4.1e-07; what is not finite is ``n/a``."""
    if value is None or not math.isfinite(value):
        return MISSING
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e6 or size < 1e-4:
        return f"{value:.1e}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 0.1:
        return f"{value:.2f}"
    return f"{value:.2g}"


def percent(share: float | None) -> str:
    """A share in [0, 1] as "61 %"; shares too small or too near to all for that keep the digits that tell."""
    if share is None or not math.isfinite(share):
        return MISSING
    value = 100 * share
    if 0 < value < 1:
        return "<0.01 %" if value < 0.01 else f"{value:.2g} %"
    if 99 < value < 100:
        return f"{math.floor(value * 10) / 10:.1f} %"
    return f"{value:.0f} %"


def arrows(values: Sequence[float]) -> str:
    """ "0.12 → 0.85 → 1.91": a quantity over training."""
    return " → ".join(number(value) for value in values) if values else MISSING


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
