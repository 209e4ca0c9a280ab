"""Where a run's randomness comes from: every seed follows from the run's own and from what it is for.

The seeds that select and those that report can never be the same number: the top bit tells them apart.
"""

from __future__ import annotations

import zlib

import numpy as np

_REPORT_BIT = 1 << 31
RANGE = 1 << 31
"""What ``derive`` gives is below this."""


def derive(seed: int, purpose: str, *place: int) -> int:
    """A 31-bit seed for one purpose at one place, by NumPy's SeedSequence."""
    words = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *place]).generate_state(1, np.uint32)
    return int(words[0]) & (_REPORT_BIT - 1)


def selection_seeds(seed: int, restart: int, generation: int, count: int) -> list[int]:
    """Training seeds of a generation: its candidates share them, so that they differ by their rewards alone."""
    return [derive(seed, "selection", restart, generation, number) for number in range(count)]


def fresh_seeds(seed: int, restart: int, generation: int, count: int) -> list[int]:
    """Training seeds on which a generation's best is measured again, once it has been chosen."""
    return [derive(seed, "fresh", restart, generation, number) for number in range(count)]


def report_seeds(seed: int, count: int) -> list[int]:
    """Training seeds of the reported scores, disjoint from every selection seed."""
    return [_REPORT_BIT | derive(seed, "report", number) for number in range(count)]


def report_episode_seed(seed: int) -> int:
    """The seed of the episodes that reported scores come from."""
    return _REPORT_BIT | derive(seed, "report episodes")


def baseline_seeds(count: int) -> list[int]:
    """Training seeds of the expert's and the sparse reward: the same for every run, disjoint from selection seeds."""
    return [_REPORT_BIT | derive(0, "baseline", number) for number in range(count)]


def baseline_episode_seed() -> int:
    """The seed of the episodes that baselines are scored on."""
    return _REPORT_BIT | derive(0, "baseline episodes")
