"""The stored episodes of a run, on which new programs are screened: whole episodes of policies of different skill.

The first generation has no earlier episodes and uses episodes of random policies alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from rewardgen import seeds
from rewardgen.config import Config
from rewardgen.sim import make_simulator
from rewardgen.store import Store
from rewardgen.tasks import Task, play_episodes
from rewardgen.training.episodes import Trajectory, parse, spread, trajectory

RANDOM_EPISODES = 16
HOLD = 25
"""Maximum number of control steps for which a random policy holds an action."""


class Archive:
    """The stored episodes of a run, including those of random policies.

    Args:
        config: ``search.screening.episodes``, ``seed`` and ``threads`` are used.
    """

    def __init__(self, task: Task, config: Config, store: Store) -> None:
        self._task, self._config, self._store = task, config, store
        self._random: list[Trajectory] | None = None

    def of(self, places: Iterable[str]) -> list[Trajectory]:
        """Return at most ``screening.episodes`` episodes, at even ranks by fitness.

        Args:
            places: generations to take episodes from, such as "r0g0"; random policies' episodes are always included.
        """
        # Random policies' episodes, simulated on the first call
        if self._random is None:
            seed = seeds.random_play_seed(self._config.seed)
            self._random = random_play(self._task, RANDOM_EPISODES, seed, self._config.threads)

        # Add those of the generations
        found = list(self._random)
        for place in places:
            content = self._store.episodes(place)
            found += parse(content) if content is not None else []
        return spread(found, self._config.search.screening.episodes)


def random_play(task: Task, count: int, seed: int, threads: int = 0) -> list[Trajectory]:
    """Play ``count`` episodes with random policies of four kinds, which reach more states than noise alone.

    The kinds are: a new uniform action at each step; uniform actions held for up to ``HOLD`` steps; one constant
    action; and random linear feedback on the observation, bounded by tanh. The same seed gives the same episodes.

    Raises:
        SimulationFailed: MuJoCo reported an error.
    """
    # Draw each episode's policy: its kind, for how many steps it holds an action, its feedback gains (count, A, O)
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

    # Play and measure
    played = play_episodes(
        task, make_simulator(task.model, count, threads=threads), act, torch.arange(count) + seed * count
    )
    fitness = task.fitness(played).double()
    return [trajectory(played, fitness, number) for number in range(count)]
