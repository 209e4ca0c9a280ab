"""What stored episodes say of a reward before anything is simulated for it: is it new, and does it order them right?

*New*: two rewards that differ by a positive factor and by potential shaping (Ng, Harada and Russell, 1999) have the
same optimal policies, so training both is training one twice. They are compared in a canonical form in which shaping
cancels, by the angle between the two: the EPIC distance of Gleave et al. (2021), "Quantifying Differences in Reward
Functions", on transitions that policies of this run really took. (Skalse et al., 2024, "STARC", show what such
distances promise.)

*Right*: of two stored episodes, a reward should pay more for the one with the higher fitness. The share of pairs that
its return orders so is the trajectory preference of Sun et al. (2024), "CARD".

Rewards run in the sandbox, as always. The result is a forecast; the store keeps it beside what training showed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rewardgen.errors import RewardFailed
from rewardgen.records import Forecast, RewardProgram
from rewardgen.sandbox import Sandbox
from rewardgen.sandbox.worker import Worker
from rewardgen.tasks import Task
from rewardgen.training.episodes import Trajectory

TRANSITIONS = 256
"""Stored transitions on which two rewards are compared."""
PROBES = 16
"""Drawn pairs of action and next state over which the canonical form takes its means."""
ROWS = 8192
"""Transitions of one call."""
COMPARED = 64
"""Earlier rewards that a new one is compared with, the latest."""
TELLING = 0.02
"""Two episodes are a pair to be ordered if their fitness differs by this share of the range of all."""
FEWEST_PAIRS = 8
ROUNDING = 1e-3
"""Distances that differ by less are the same."""


@dataclass(frozen=True)
class Probes:
    """Where rewards are compared: ``n`` transitions, and ``m`` drawn actions and states to lead to.

    Args:
        states, actions, next_states: ``(n, width)``, ``(n, A)``, ``(n, width)``.
        drawn_actions, drawn_states: ``(m, A)``, ``(m, width)``.
    """

    states: Tensor
    actions: Tensor
    next_states: Tensor
    drawn_actions: Tensor
    drawn_states: Tensor
    gamma: float

    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """The transitions that ``canonical`` needs labels of: (s, a, s'), then (s', A, S'), then (s, A, S')."""
        n, m = len(self.states), len(self.drawn_states)
        actions, ends = self.drawn_actions.repeat(n, 1), self.drawn_states.repeat(n, 1)
        begins = [start.repeat_interleave(m, 0) for start in (self.next_states, self.states)]
        return (
            torch.cat([self.states, *begins]),
            torch.cat([self.actions, actions, actions]),
            torch.cat([self.next_states, ends, ends]),
        )

    def canonical(self, rewards: Tensor) -> Tensor | None:
        """The canonically shaped reward of each transition, ``(n,)`` float64, with mean 0 and norm 1.

        C(s, a, s') = R(s, a, s') + E[γ R(s', A, S') − R(s, A, S')], up to a constant: what γ Φ(s') − Φ(s) adds to R is
        taken off again by the two means, whatever Φ is. None where nothing but shaping is left.

        Args:
            rewards: the labels of ``rows()``.
        """
        n, m = len(self.states), len(self.drawn_states)
        plain, after, before = rewards.double().split([n, n * m, n * m])
        shaped = plain + self.gamma * after.view(n, m).mean(1) - before.view(n, m).mean(1)
        shaped = shaped - shaped.mean()
        size = float(shaped.norm())
        # float32 labels: what is left of terms that cancel is noise
        return shaped / size if size > 1e-5 * float(rewards.double().norm()) / math.sqrt(2 * m + 1) else None


def draw_probes(trajectories: Sequence[Trajectory], gamma: float, seed: int) -> Probes:
    """Draw transitions of stored episodes evenly; the same seed draws the same."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.cat([item.states[:-1] for item in trajectories])
    actions = torch.cat([item.actions for item in trajectories])
    next_states = torch.cat([item.states[1:] for item in trajectories])
    chosen = torch.randint(len(states), (TRANSITIONS,), generator=generator)
    acting, reached = (torch.randint(len(states), (PROBES,), generator=generator) for _ in range(2))
    return Probes(states[chosen], actions[chosen], next_states[chosen], actions[acting], next_states[reached], gamma)


def distance(first: Tensor, second: Tensor) -> float:
    """Return the distance of canonical rewards: 0 up to a positive factor, √½ for unrelated ones, 1 for opposites."""
    return math.sqrt(max(0.0, (1.0 - float(first @ second)) / 2.0))


def agreement(returns: Sequence[float], fitness: Sequence[float]) -> tuple[float | None, int]:
    """Return how well the returns order pairs of episodes whose fitness differs by enough, and the number of pairs.

    Returns:
        The share of pairs that the returns order as the fitness does, ties counting half, or None where there are fewer
        than ``FEWEST_PAIRS``; and the number of pairs.
    """
    value, truth = torch.tensor(returns, dtype=torch.float64), torch.tensor(fitness, dtype=torch.float64)
    if len(truth) < 2:
        return None, 0
    gap = truth[:, None] - truth[None, :]
    telling = gap > TELLING * float(truth.max() - truth.min())
    pairs = int(telling.sum())
    if pairs < FEWEST_PAIRS:
        return None, pairs
    order = torch.sign(value[:, None] - value[None, :])
    return float(((order[telling] + 1.0) / 2.0).mean()), pairs


class Foresight:
    """Tries the programs of one generation on the same stored episodes.

    Args:
        trajectories: episodes from before the generation, at least one.
        gamma: the discount that the trainings use, for which shaping changes nothing.
    """

    def __init__(
        self, sandbox: Sandbox, task: Task, trajectories: Sequence[Trajectory], gamma: float, seed: int
    ) -> None:
        self._sandbox, self._task, self._trajectories = sandbox, task, trajectories
        self._probes = draw_probes(trajectories, gamma, seed)
        self._canonical: dict[str, Tensor | None] = {}

    def forecast(self, program: RewardProgram, others: Mapping[str, RewardProgram]) -> Forecast:
        """Return what the stored episodes say of ``program`` beside ``others`` (key → a program accepted before it).

        Raises:
            RewardFailed: it fails on a stored episode, as it would in training.
        """
        with self._open(program) as worker:
            returns = self._returns(worker)
            self._canonical[program.digest] = self._shape(worker)
        share, pairs = agreement(returns, [item.fitness for item in self._trajectories])
        nearest, least = self._nearest(self._canonical[program.digest], others)
        return Forecast(len(self._trajectories), pairs, share, nearest, least)

    def _nearest(self, mine: Tensor | None, others: Mapping[str, RewardProgram]) -> tuple[str | None, float | None]:
        """Return which of the latest ``others`` is nearest (the first of equals) and its distance."""
        nearest, least = None, math.inf
        for key, other in list(others.items())[-COMPARED:] if mine is not None else ():
            theirs = self._of(other)
            if mine is not None and theirs is not None and (apart := distance(mine, theirs)) < least - ROUNDING:
                nearest, least = key, apart
        return nearest, (least if nearest is not None else None)

    def _of(self, program: RewardProgram) -> Tensor | None:
        if program.digest not in self._canonical:
            try:
                with self._open(program) as worker:
                    self._canonical[program.digest] = self._shape(worker)
            except RewardFailed:
                self._canonical[program.digest] = None
        return self._canonical[program.digest]

    def _open(self, program: RewardProgram) -> Worker:
        return self._sandbox.open(program, self._task.layout, self._task.action_size, ROWS)

    def _returns(self, worker: Worker) -> list[float]:
        lengths = [len(item) for item in self._trajectories]
        rewards = _label(
            worker,
            torch.cat([item.states[:-1] for item in self._trajectories]),
            torch.cat([item.actions for item in self._trajectories]),
            torch.cat([item.states[1:] for item in self._trajectories]),
        )
        return [float(part.double().sum()) for part in rewards.split(lengths)]

    def _shape(self, worker: Worker) -> Tensor | None:
        """Return the canonical form; None for a reward that fails on transitions that nobody took."""
        try:
            return self._probes.canonical(_label(worker, *self._probes.rows()))
        except RewardFailed:
            return None


def _label(worker: Worker, states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
    parts = []
    for start in range(0, len(states), ROWS):
        window = slice(start, start + ROWS)
        worker.submit(states[window], actions[window], next_states[window])
        parts.append(worker.result().reward.clone())
    return torch.cat(parts)
