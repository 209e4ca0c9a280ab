"""Forecasts: evaluate a reward on stored episodes before it is trained, for its novelty and its ordering of episodes.

*Novelty*: two rewards that differ only by a positive factor and by potential shaping (Ng, Harada and Russell, 1999)
have the same optimal policies, so training both would be redundant. Rewards are compared in a canonical form in which
shaping cancels, by the angle between them: the EPIC distance of Gleave et al. (2021), "Quantifying Differences in
Reward Functions", on transitions of this run's policies. (Skalse et al., 2024, "STARC", analyse such distances.)

*Ordering*: of two stored episodes, a reward should have the higher return on the one with the higher fitness. The share
of pairs that it orders correctly is the trajectory preference of Sun et al. (2024), "CARD".

Rewards run in the sandbox. The store keeps the forecast next to the results of training.
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
"""Drawn pairs of action and next state over which the canonical form averages."""
ROWS = 8192
"""Maximum number of transitions in one call of a reward."""
COMPARED = 64
"""Number of earlier rewards, the latest, that a new one is compared with."""
TELLING = 0.02
"""Two episodes count as a pair if their fitness differs by more than this share of the range of all episodes."""
FEWEST_PAIRS = 8
"""Minimum number of pairs for an agreement."""
ROUNDING = 1e-3
"""Distances that differ by less count as equal."""


@dataclass(frozen=True)
class Probes:
    """Transitions on which rewards are compared: ``n`` stored ones, and ``m`` drawn actions A and next states S'.

    Args:
        states: ``(n, width)``, of the stored transitions.
        actions: ``(n, A)``, in actuator units.
        next_states: ``(n, width)``.
        drawn_actions: ``(m, A)``, the actions A.
        drawn_states: ``(m, width)``, the next states S'.
        gamma: discount of the shaping that cancels.
    """

    states: Tensor
    actions: Tensor
    next_states: Tensor
    drawn_actions: Tensor
    drawn_states: Tensor
    gamma: float

    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the transitions that ``canonical`` needs labels of: (s, a, s'), then (s', A, S'), then (s, A, S').

        There are ``n + 2 n m`` of them: each state and each next state is paired with all ``m`` draws.
        """
        n, m = len(self.states), len(self.drawn_states)
        actions, ends = self.drawn_actions.repeat(n, 1), self.drawn_states.repeat(n, 1)
        begins = [start.repeat_interleave(m, 0) for start in (self.next_states, self.states)]
        return (
            torch.cat([self.states, *begins]),
            torch.cat([self.actions, actions, actions]),
            torch.cat([self.next_states, ends, ends]),
        )

    def canonical(self, rewards: Tensor) -> Tensor | None:
        """Return the canonically shaped reward of each transition, ``(n,)`` float64, with mean 0 and norm 1.

        C(s, a, s') = R(s, a, s') + E[γ R(s', A, S') − R(s, A, S')], up to a constant (Gleave et al., 2021). The two
        means cancel what potential shaping γ Φ(s') − Φ(s) adds to R, for any Φ. None if R is nothing but shaping.

        Args:
            rewards: the labels of ``rows()``, ``(n + 2 n m,)``.
        """
        # Canonical form: means over the draws, then centre and normalise
        n, m = len(self.states), len(self.drawn_states)
        plain, after, before = rewards.double().split([n, n * m, n * m])
        shaped = plain + self.gamma * after.view(n, m).mean(1) - before.view(n, m).mean(1)
        shaped = shaped - shaped.mean()
        size = float(shaped.norm())
        # The labels are float32: a remainder this small relative to the rewards is rounding noise
        return shaped / size if size > 1e-5 * float(rewards.double().norm()) / math.sqrt(2 * m + 1) else None


def draw_probes(trajectories: Sequence[Trajectory], gamma: float, seed: int) -> Probes:
    """Draw transitions uniformly from all steps of the stored episodes; the same seed gives the same draws."""
    # Concatenate the steps of all episodes
    generator = torch.Generator().manual_seed(seed)
    states = torch.cat([item.states[:-1] for item in trajectories])
    actions = torch.cat([item.actions for item in trajectories])
    next_states = torch.cat([item.states[1:] for item in trajectories])

    # Draw transitions, and independently actions and next states for the means
    chosen = torch.randint(len(states), (TRANSITIONS,), generator=generator)
    acting, reached = (torch.randint(len(states), (PROBES,), generator=generator) for _ in range(2))
    return Probes(states[chosen], actions[chosen], next_states[chosen], actions[acting], next_states[reached], gamma)


def distance(first: Tensor, second: Tensor) -> float:
    """Return the EPIC distance of two canonical rewards ``(n,)``: √((1 − r) / 2) with their correlation r.

    It is 0 for rewards that differ by a positive factor, √½ for uncorrelated and 1 for opposite ones.
    """
    # Rounding may push the correlation above 1
    return math.sqrt(max(0.0, (1.0 - float(first @ second)) / 2.0))


def agreement(returns: Sequence[float], fitness: Sequence[float]) -> tuple[float | None, int]:
    """Measure how well returns order the pairs of episodes whose fitness differs by more than ``TELLING``.

    Returns:
        The share of pairs that the returns order as the fitness does, with ties counting half, or None if there are
        fewer than ``FEWEST_PAIRS``; and the number of pairs.
    """
    value, truth = torch.tensor(returns, dtype=torch.float64), torch.tensor(fitness, dtype=torch.float64)
    if len(truth) < 2:
        return None, 0

    # Pairs (i, j) in which episode i is clearly better
    gap = truth[:, None] - truth[None, :]
    telling = gap > TELLING * float(truth.max() - truth.min())
    pairs = int(telling.sum())
    if pairs < FEWEST_PAIRS:
        return None, pairs

    # 1 if the return agrees, ½ for a tie, 0 if not
    order = torch.sign(value[:, None] - value[None, :])
    return float(((order[telling] + 1.0) / 2.0).mean()), pairs


class Foresight:
    """Makes forecasts for the programs of one generation on the same stored episodes.

    Args:
        trajectories: episodes of earlier generations, at least one.
        gamma: the discount of the trainings, with which shaping must cancel.
    """

    def __init__(
        self, sandbox: Sandbox, task: Task, trajectories: Sequence[Trajectory], gamma: float, seed: int
    ) -> None:
        self._sandbox, self._task, self._trajectories = sandbox, task, trajectories
        self._probes = draw_probes(trajectories, gamma, seed)
        self._canonical: dict[str, Tensor | None] = {}

    def forecast(self, program: RewardProgram, others: Mapping[str, RewardProgram]) -> Forecast:
        """Return the forecast for ``program``.

        Args:
            others: key → program, of the programs accepted before it.

        Raises:
            RewardFailed: the program fails on a stored episode, as it would in training.
        """
        # Run the program once, for its returns and its canonical form
        with self._open(program) as worker:
            returns = self._returns(worker)
            self._canonical[program.digest] = self._shape(worker)

        # Ordering and novelty
        share, pairs = agreement(returns, [item.fitness for item in self._trajectories])
        nearest, least = self._nearest(self._canonical[program.digest], others)
        return Forecast(len(self._trajectories), pairs, share, nearest, least)

    def _nearest(self, mine: Tensor | None, others: Mapping[str, RewardProgram]) -> tuple[str | None, float | None]:
        """Return the key and distance of the nearest of the latest ``others``, the first if several are equally near.

        Both are None if there is nothing to compare with, or ``mine`` is None.
        """
        nearest, least = None, math.inf
        for key, other in list(others.items())[-COMPARED:] if mine is not None else ():
            theirs = self._of(other)
            if mine is not None and theirs is not None and (apart := distance(mine, theirs)) < least - ROUNDING:
                nearest, least = key, apart
        return nearest, (least if nearest is not None else None)

    def _of(self, program: RewardProgram) -> Tensor | None:
        """Return the canonical form of an earlier program, cached by its digest; None if it fails."""
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
        """Return the undiscounted return of each stored episode; raise RewardFailed if the reward fails."""
        lengths = [len(item) for item in self._trajectories]
        rewards = _label(
            worker,
            torch.cat([item.states[:-1] for item in self._trajectories]),
            torch.cat([item.actions for item in self._trajectories]),
            torch.cat([item.states[1:] for item in self._trajectories]),
        )
        # Sum in double precision: long episodes have thousands of float32 rewards
        return [float(part.double().sum()) for part in rewards.split(lengths)]

    def _shape(self, worker: Worker) -> Tensor | None:
        """Return the canonical form of the worker's reward, or None if the reward fails."""
        # The drawn transitions join unrelated states, which never happens in training: a failure on them is no problem
        try:
            return self._probes.canonical(_label(worker, *self._probes.rows()))
        except RewardFailed:
            return None


def _label(worker: Worker, states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
    """Return the rewards ``(B,)`` of ``B`` transitions, in calls of at most ``ROWS``."""
    parts = []
    for start in range(0, len(states), ROWS):
        window = slice(start, start + ROWS)
        worker.submit(states[window], actions[window], next_states[window])
        parts.append(worker.result().reward.clone())  # the worker reuses its buffers
    return torch.cat(parts)
