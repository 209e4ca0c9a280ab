"""Stored episodes: a few of the episodes that checkpoints play, on which later programs are screened.

They need no extra simulation, because checkpoints play episodes anyway.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from rewardgen.records import Episodes
from rewardgen.saved import Saved, content

_TAKEN = TypeAdapter(list[tuple[str, int, int]])


@dataclass(frozen=True)
class Trajectory:
    """One episode of ``L`` steps: ``states`` ``(L + 1, width)``, ``actions`` ``(L, action_size)`` and its fitness."""

    states: Tensor
    actions: Tensor
    fitness: float

    def __len__(self) -> int:
        return len(self.actions)


class Collector:
    """Keeps at most ``most`` episodes of a training's checkpoints, spread evenly over the ranks of their fitness.

    It belongs to a ``Watcher``, and its state is saved with that of the training.

    Args:
        place: the generation that the episodes come from, such as "r0g0".
        most: maximum number of episodes.
    """

    def __init__(self, place: str, most: int) -> None:
        self.place = place
        self._most = most
        self._taken: dict[tuple[str, int], int] = {}
        self._kept: list[Trajectory] = []

    def take(self, key: str, seed: int, played: Episodes, fitness: Tensor) -> None:
        """Keep one of the episodes of a member's checkpoint, a different one at each checkpoint.

        Args:
            fitness: ``(n,)``, of the ``n`` episodes ``played``.
        """
        number = self._taken.get((key, seed), 0)
        self._taken[key, seed] = number + 1
        self.keep(trajectory(played, fitness, chosen(key, seed, number, len(played))))

    def keep(self, episode: Trajectory) -> None:
        """Keep an episode; the final selection depends on the order of the calls."""
        self._kept.append(episode)
        # Thin out early: otherwise memory would grow with the number of candidates
        if len(self._kept) >= 4 * self._most:
            self._kept = spread(self._kept, 2 * self._most)

    def save(self) -> dict[str, Any]:
        """Return the state, which is saved with the training."""
        return {"taken": [[key, seed, n] for (key, seed), n in self._taken.items()], "kept": dump(self._kept)}

    def restore(self, saved: Saved) -> None:
        """Load what ``save`` returned.

        Raises:
            ValueError: ``saved`` does not fit.
        """
        taken = _TAKEN.validate_python(saved.get("taken"))
        try:
            kept = parse(content(saved, "kept") or b"")
        except (SafetensorError, KeyError, RuntimeError) as error:
            raise ValueError(f"the saved episodes cannot be read: {error}") from error
        self._taken, self._kept = {(key, seed): n for key, seed, n in taken}, kept

    def content(self) -> bytes:
        """Return the selected episodes as bytes for ``parse``."""
        return dump(spread(self._kept, self._most))


def chosen(key: str, seed: int, number: int, count: int) -> int:
    """Return which of the ``count`` episodes of a member's checkpoint to keep.

    Depends only on the member and the checkpoint's ``number``, not on the other members of the batch.
    """
    return (zlib.crc32(f"{key}/{seed}".encode()) + number) % count


def trajectory(played: Episodes, fitness: Tensor, number: int) -> Trajectory:
    """Return a copy of episode ``number``, without padding."""
    length = int(played.length[number])
    return Trajectory(
        played.states[: length + 1, number].clone(), played.actions[:length, number].clone(), float(fitness[number])
    )


def spread(trajectories: Sequence[Trajectory], most: int) -> list[Trajectory]:
    """Return at most ``most`` episodes with finite fitness, at even ranks by fitness, sorted from the lowest."""
    order = sorted((item for item in trajectories if math.isfinite(item.fitness)), key=lambda item: item.fitness)
    if len(order) <= most:
        return order
    return [order[round(i * (len(order) - 1) / (most - 1))] for i in range(most)]


def dump(trajectories: Sequence[Trajectory]) -> bytes:
    """Return episodes as safetensors bytes: their steps concatenated, with the lengths; no bytes for no episodes."""
    if not trajectories:
        return b""
    return save(
        {
            "states": torch.cat([item.states for item in trajectories]),
            "actions": torch.cat([item.actions for item in trajectories]),
            "length": torch.tensor([len(item) for item in trajectories]),
            "fitness": torch.tensor([item.fitness for item in trajectories], dtype=torch.float64),
        }
    )


def parse(content: bytes) -> list[Trajectory]:
    """Read what ``dump`` wrote.

    Raises:
        SafetensorError, KeyError, RuntimeError: the content is not such a file.
    """
    if not content:
        return []
    arrays = load(content)
    lengths = arrays["length"].tolist()
    states = arrays["states"].split([length + 1 for length in lengths])
    actions = arrays["actions"].split(lengths)
    return [Trajectory(*parts) for parts in zip(states, actions, arrays["fitness"].tolist(), strict=True)]
