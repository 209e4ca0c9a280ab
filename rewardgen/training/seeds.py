"""Where every random number of a training comes from: a member's own seed and what it is for, nothing else."""

from __future__ import annotations

import hashlib

import torch
from torch import Generator, Tensor


def stream_seed(*parts: int | str) -> int:
    """A 63-bit seed for torch that depends on every part and on their order, by SHA-256.

    Seeds that are stored or shown, of trainings and replies, have 31 bits and come from ``rewardgen.seeds.derive``.
    """
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: int | str, device: torch.device | str = "cpu") -> Generator:
    """A generator that draws on ``device``; what it draws differs from one kind of device to another."""
    return Generator(device).manual_seed(stream_seed(*parts))


def first_ages(worlds: int, horizon: int) -> Tensor:
    """The ages ``(worlds,)`` int64 at which a training's worlds begin their first episodes, uniform below ``horizon``.

    Worlds that all begin at age 0 stay in phase wherever episodes run to the time limit: each rollout then sees one
    short part of the episode, the same in every world. The ages are those of the worlds' places, the same for every
    seed and reward, so that trainings differ by nothing else.
    """
    return torch.randint(horizon, (worlds,), generator=generator("first ages"))


def streams(count: int, *parts: int | str) -> Tensor:
    """``(count,)`` int64 world streams, one for each place."""
    return torch.tensor([stream_seed(*parts, place) for place in range(count)], dtype=torch.int64)
