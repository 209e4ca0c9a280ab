"""Sweeps of which the quick run takes a few."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few(values: Iterable[Any], count: int = 4) -> list[Any]:
    """Give all ``values`` as parameters, those marked slow that are not among ``count`` evenly spread ones.

    Args:
        values: what a test or a fixture is to be parametrized with.
        count: at least 2.
    """
    listed = list(values)
    quick = {round(number * (len(listed) - 1) / (count - 1)) for number in range(count)}
    return [
        value if number in quick else pytest.param(value, marks=pytest.mark.slow) for number, value in enumerate(listed)
    ]
