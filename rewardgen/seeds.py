"""Seeds: every random number of a run follows from the run's own seed and from what it is for.

Seeds that select and seeds that report can never be the same number: the top bit tells them apart. The seeds of one
generation are made by ``search.candidate.Place``; the random streams inside a training by ``training.seeds``.
"""

from __future__ import annotations

import zlib

import numpy as np

_REPORT_BIT = 1 << 31
RANGE = 1 << 31
"""Exclusive upper bound of what ``derive`` returns."""


def derive(seed: int, purpose: str, *place: int) -> int:
    """Return a 31-bit seed for one purpose at one place, by NumPy's SeedSequence."""
    words = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *place]).generate_state(1, np.uint32)
    return int(words[0]) & (_REPORT_BIT - 1)


def smoke_seed(seed: int) -> int:
    """Return the seed of the transitions that every program is tried on before it is trained."""
    return derive(seed, "smoke")


def random_play_seed(seed: int) -> int:
    """Return the seed of the episodes of random play that the first generation is screened on."""
    return derive(seed, "random play")


def watching_seed(seed: int) -> int:
    """Return the seed of the episodes from which a policy's behaviour is described in a prompt."""
    return derive(seed, "watching")


def report_seeds(seed: int, count: int) -> list[int]:
    """Return the training seeds of the reported scores, disjoint from every selection seed."""
    return [_REPORT_BIT | derive(seed, "report", number) for number in range(count)]


def report_episode_seed(seed: int) -> int:
    """Return the seed of the episodes that reported scores come from."""
    return _REPORT_BIT | derive(seed, "report episodes")


def baseline_seeds(count: int) -> list[int]:
    """Return the training seeds of the baselines: the same for every run, disjoint from selection seeds."""
    return [_REPORT_BIT | derive(0, "baseline", number) for number in range(count)]


def baseline_episode_seed() -> int:
    """Return the seed of the episodes that baselines are scored on."""
    return _REPORT_BIT | derive(0, "baseline episodes")
