"""Random streams of a training: each is derived from the member's seed and the stream's purpose alone."""

from __future__ import annotations

import hashlib

import torch
from torch import Generator, Tensor


def stream_seed(*parts: int | str) -> int:
    """Return a 63-bit seed for torch: a SHA-256 hash of the parts and their order.

    The seeds of trainings and replies, which are stored and shown, have 31 bits; see ``rewardgen.seeds.derive``.
    """
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: int | str, device: torch.device | str = "cpu") -> Generator:
    """Return a generator on ``device``, seeded from ``parts``; its numbers differ between CPU and GPU."""
    return Generator(device).manual_seed(stream_seed(*parts))


def first_ages(worlds: int, horizon: int) -> Tensor:
    """Return the ages ``(worlds,)`` int64, in control steps, at which the worlds start their first episodes.

    They are uniform in [0, ``horizon``). Worlds that all started at age 0 would stay in phase as long as episodes run
    to the time limit, and each rollout would contain the same short part of the episode in every world. The ages depend
    only on the world's index, not on seed or reward.
    """
    return torch.randint(horizon, (worlds,), generator=generator("first ages"))


def streams(count: int, *parts: int | str) -> Tensor:
    """Return the random streams of ``count`` worlds, ``(count,)`` int64, one per world index."""
    return torch.tensor([stream_seed(*parts, place) for place in range(count)], dtype=torch.int64)
