"""Episodes kept from trainings: a few of those that checkpoints play, which later programs are tried on.

They cost no simulation of their own, because a checkpoint plays episodes anyway.
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
    """One episode of ``L`` steps: ``states`` ``(L + 1, width)``, ``actions`` ``(L, action_size)``, its true fitness."""

    states: Tensor
    actions: Tensor
    fitness: float

    def __len__(self) -> int:
        return len(self.actions)


class Collector:
    """Keeps at most ``most`` of the episodes of a training's checkpoints, spread evenly over their fitness.

    It belongs to a ``Watcher``, and its state is saved with the training's.
    """

    def __init__(self, place: str, most: int) -> None:
        self.place = place
        self._most = most
        self._taken: dict[tuple[str, int], int] = {}
        self._kept: list[Trajectory] = []

    def take(self, key: str, seed: int, played: Episodes, fitness: Tensor) -> None:
        """Keep one of the episodes of a checkpoint, another at each checkpoint."""
        number = self._taken.get((key, seed), 0)
        self._taken[key, seed] = number + 1
        self.keep(trajectory(played, fitness, chosen(key, seed, number, len(played))))

    def keep(self, episode: Trajectory) -> None:
        """Keep an episode that was chosen already; what is kept in the end follows from their order."""
        self._kept.append(episode)
        if len(self._kept) >= 4 * self._most:  # or memory would grow with the size of the generation
            self._kept = spread(self._kept, 2 * self._most)

    def save(self) -> dict[str, Any]:
        """Return its state, as it is saved with a training."""
        return {"taken": [[key, seed, n] for (key, seed), n in self._taken.items()], "kept": dump(self._kept)}

    def restore(self, saved: Saved) -> None:
        """Continue from what ``save`` gave.

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
        """Return what was kept, as ``parse`` reads it."""
        return dump(spread(self._kept, self._most))


def chosen(key: str, seed: int, number: int, count: int) -> int:
    """Return which of ``count`` episodes of a member's checkpoint ``number`` is kept, whatever trains beside it."""
    return (zlib.crc32(f"{key}/{seed}".encode()) + number) % count


def trajectory(played: Episodes, fitness: Tensor, number: int) -> Trajectory:
    """Return one of the episodes, in memory of its own."""
    length = int(played.length[number])
    return Trajectory(
        played.states[: length + 1, number].clone(), played.actions[:length, number].clone(), float(fitness[number])
    )


def spread(trajectories: Sequence[Trajectory], most: int) -> list[Trajectory]:
    """Return at most ``most`` of those with a finite fitness, evenly over their order by fitness, the lowest first."""
    order = sorted((item for item in trajectories if math.isfinite(item.fitness)), key=lambda item: item.fitness)
    if len(order) <= most:
        return order
    return [order[round(i * (len(order) - 1) / (most - 1))] for i in range(most)]


def dump(trajectories: Sequence[Trajectory]) -> bytes:
    """Return the safetensors bytes of some episodes, one after the other."""
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
    """Return what ``dump`` wrote.

    Raises:
        SafetensorError, KeyError, RuntimeError: the content is something else.
    """
    if not content:
        return []
    arrays = load(content)
    lengths = arrays["length"].tolist()
    states = arrays["states"].split([length + 1 for length in lengths])
    actions = arrays["actions"].split(lengths)
    return [Trajectory(*parts) for parts in zip(states, actions, arrays["fitness"].tolist(), strict=True)]
