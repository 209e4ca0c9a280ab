"""Stored episodes: a small set of whole ones, played by all kinds of policies, that rewards are tried on.

They cost no simulation of their own: a generation's checkpoints play episodes anyway, and a few of those are kept. Only
the first generation has none before it, and makes do with random play.
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

from rewardgen.config import Config
from rewardgen.records import Episodes
from rewardgen.saved import Saved, content
from rewardgen.search import seeds
from rewardgen.sim import make_simulator
from rewardgen.store import Store
from rewardgen.tasks import Task, play_episodes

_TAKEN = TypeAdapter(list[tuple[str, int, int]])
RANDOM_EPISODES = 16
HOLD = 25
"""Control steps for which random play holds an action at most."""


@dataclass(frozen=True)
class Trajectory:
    """One episode of ``L`` steps: ``states`` ``(L + 1, width)``, ``actions`` ``(L, action_size)``, its true fitness."""

    states: Tensor
    actions: Tensor
    fitness: float

    def __len__(self) -> int:
        return len(self.actions)


class Collector:
    """Takes the episodes of a training's checkpoints and keeps at most ``most`` of them, of all degrees of fitness.

    Hand ``take`` to ``train`` as ``on_episodes``.
    """

    def __init__(self, place: str, most: int) -> None:
        self.place = place
        self._most = most
        self._taken: dict[tuple[str, int], int] = {}
        self._kept: list[Trajectory] = []

    def take(self, key: str, seed: int, played: Episodes, fitness: Tensor) -> None:
        """Keep one episode, another each time."""
        number = self._taken.get((key, seed), 0)
        self._taken[key, seed] = number + 1
        self.keep(trajectory(played, fitness, chosen(key, seed, number, len(played))))

    def keep(self, episode: Trajectory) -> None:
        """Keep one that was chosen already; what is kept in the end follows from their order."""
        self._kept.append(episode)
        if len(self._kept) >= 4 * self._most:  # or memory would grow with the size of the generation
            self._kept = spread(self._kept, 2 * self._most)

    def save(self) -> dict[str, Any]:
        return {"taken": [[key, seed, n] for (key, seed), n in self._taken.items()], "kept": dump(self._kept)}

    def restore(self, saved: Saved) -> None:
        taken = _TAKEN.validate_python(saved.get("taken"))
        try:
            kept = parse(content(saved, "kept") or b"")
        except (SafetensorError, KeyError, RuntimeError) as error:
            raise ValueError(f"the saved episodes cannot be read: {error}") from error
        self._taken, self._kept = {(key, seed): n for key, seed, n in taken}, kept

    def content(self) -> bytes:
        """What was kept, as ``parse`` reads it."""
        return dump(spread(self._kept, self._most))


class Archive:
    """The stored episodes of a run."""

    def __init__(self, task: Task, config: Config, store: Store) -> None:
        self._task, self._config, self._store = task, config, store
        self._random: list[Trajectory] | None = None

    def collector(self, restart: int, generation: int) -> Collector | None:
        """What keeps some of a generation's episodes; None where nobody will ask for them."""
        screening = self._config.search.screening
        return Collector(_place(restart, generation), screening.episodes) if screening.enabled else None

    def before(self, restart: int, generation: int) -> list[Trajectory]:
        """Episodes from before a generation, ``screening.episodes`` at most, of all degrees of fitness."""
        search = self._config.search
        if self._random is None:
            seed = seeds.derive(self._config.seed, "random play")
            self._random = random_play(self._task, RANDOM_EPISODES, seed, self._config.threads)
        found = list(self._random)
        for earlier in range(generation):  # of this restart: restarts know nothing of each other
            content = self._store.episodes(_place(restart, earlier))
            found += parse(content) if content is not None else []
        return spread(found, search.screening.episodes)


def _place(restart: int, generation: int) -> str:
    return f"r{restart}g{generation}"


def chosen(key: str, seed: int, number: int, count: int) -> int:
    """Which of ``count`` episodes of a member's checkpoint ``number`` is kept, whatever else trains beside it."""
    return (zlib.crc32(f"{key}/{seed}".encode()) + number) % count


def trajectory(played: Episodes, fitness: Tensor, number: int) -> Trajectory:
    """One of the episodes, in memory of its own."""
    length = int(played.length[number])
    return Trajectory(
        played.states[: length + 1, number].clone(), played.actions[:length, number].clone(), float(fitness[number])
    )


def spread(trajectories: Sequence[Trajectory], most: int) -> list[Trajectory]:
    """At most ``most`` of those with a finite fitness, evenly over their order by fitness, the lowest first."""
    order = sorted((item for item in trajectories if math.isfinite(item.fitness)), key=lambda item: item.fitness)
    if len(order) <= most:
        return order
    return [order[round(i * (len(order) - 1) / (most - 1))] for i in range(most)]


def random_play(task: Task, count: int, seed: int, threads: int = 0) -> list[Trajectory]:
    """``count`` episodes under random policies of four kinds, which get further than noise alone would.

    Fresh uniform actions; actions held for a while; one constant action; and a random linear feedback on the
    observation, cut off by tanh. The same seed gives the same episodes.
    """
    generator = torch.Generator().manual_seed(seed)
    centre, half = (task.action_high + task.action_low) / 2.0, (task.action_high - task.action_low) / 2.0
    kind = torch.arange(count) % 4
    hold = torch.ones(count, dtype=torch.int64)
    hold[kind == 1] = torch.randint(2, HOLD + 1, (count,), generator=generator)[kind == 1]
    hold[kind == 2] = task.horizon
    gain = torch.randn(count, task.action_size, task.observation_size, generator=generator)
    gain /= math.sqrt(task.observation_size)
    held = torch.zeros(count, task.action_size)
    step = 0

    def act(observation: Tensor) -> Tensor:
        nonlocal held, step
        drawn = 2.0 * torch.rand(count, task.action_size, generator=generator) - 1.0
        held = torch.where((step % hold == 0)[:, None], drawn, held)
        step += 1
        feedback = torch.tanh((gain * observation[:, None, :]).sum(-1))
        return centre + half * torch.where((kind == 3)[:, None], feedback, held)

    played = play_episodes(
        task, make_simulator(task.model, count, threads=threads), act, torch.arange(count) + seed * count
    )
    fitness = task.fitness(played).double()
    return [trajectory(played, fitness, number) for number in range(count)]


def dump(trajectories: Sequence[Trajectory]) -> bytes:
    """Safetensors bytes of some episodes, one after the other."""
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
    """What ``dump`` wrote."""
    if not content:
        return []
    arrays = load(content)
    lengths = arrays["length"].tolist()
    states = arrays["states"].split([length + 1 for length in lengths])
    actions = arrays["actions"].split(lengths)
    return [Trajectory(*parts) for parts in zip(states, actions, arrays["fitness"].tolist(), strict=True)]
