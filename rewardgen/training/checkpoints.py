"""Checkpoints of a training's curve: whole episodes under the deterministic policies, measured by the task."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from rewardgen.errors import RewardFailed
from rewardgen.records import Checkpoint, Episodes, Labels
from rewardgen.sim import Arrangement
from rewardgen.sim.arrangement import ON_CPU
from rewardgen.tasks import Task, play_episodes
from rewardgen.training.credit import Credit
from rewardgen.training.labelling import Labelling, Member
from rewardgen.training.seeds import streams


class Examiner:
    """Plays and measures the checkpoints of a population, the episodes of all members in one batch of worlds.

    The episodes start from the same states at every checkpoint, so that only the policy changes along a curve. They are
    simulated on the training's physics device; fitness and labels are computed on the CPU.

    Args:
        episodes: number of episodes per member.
        credits: one per member, None where the reward's total is the training reward; empty for none at all.
        purpose: part of the seed of the start states; episodes for another purpose start elsewhere.
    """

    def __init__(
        self,
        task: Task,
        members: Sequence[Member],
        labelling: Labelling,
        episodes: int,
        threads: int,
        arrangement: Arrangement = ON_CPU,
        credits: Sequence[Credit | None] = (),
        purpose: str = "checkpoint",
    ) -> None:
        self._task, self._members, self._labelling = task, members, labelling
        self._credits = credits or [None] * len(members)
        self._episodes = episodes
        self._sim = arrangement.simulator(task.model, len(members) * episodes, threads)
        self._streams = torch.cat([streams(episodes, purpose, member.seed) for member in members])
        self._last: dict[int, tuple[Episodes, Tensor]] = {}

    def examine(
        self, act: Callable[[Tensor], Tensor], steps: int, goal_reached: Sequence[float], alive: Sequence[bool]
    ) -> dict[int, Checkpoint | RewardFailed]:
        """Play the episodes and measure the members that are ``alive``.

        Args:
            act: observations → deterministic actions, for the whole population.
            steps: environment steps that each member has trained for.
            goal_reached: per member, the share of its training transitions with a positive sparse reward.

        Returns:
            Member → its checkpoint, or the error if its reward failed on these episodes.

        Raises:
            SimulationFailed: MuJoCo reported an error.
        """
        # All members play, dead ones too: the batch keeps its shape
        played = play_episodes(self._task, self._sim, act, self._streams).on_host()
        self._last = {}
        points: dict[int, Checkpoint | RewardFailed] = {}
        for k in range(len(self._members)):
            if alive[k]:
                mine = _part(played, slice(k * self._episodes, (k + 1) * self._episodes))
                fitness = self._task.fitness(mine).double()
                self._last[k] = mine, fitness
                try:
                    points[k] = self._point(k, mine, fitness, steps, goal_reached[k])
                except RewardFailed as error:
                    points[k] = error
        return points

    def episodes(self, k: int) -> tuple[Episodes, Tensor]:
        """Return the last episodes of member ``k`` that ``examine`` played, and their fitness ``(n,)``."""
        return self._last[k]

    def _point(self, k: int, played: Episodes, fitness: Tensor, steps: int, goal_reached: float) -> Checkpoint:
        """Label member ``k``'s episodes and return the checkpoint; raise RewardFailed if its reward fails."""
        # Label the transitions, leaving out the steps after each episode's end
        mask = played.mask
        transitions = played.states[:-1][mask], played.actions[mask], played.states[1:][mask]
        labels = self._labelling.label(self._members[k].reward, *transitions)
        credit = self._credits[k]
        if credit is not None:
            labels = replace(labels, reward=credit.value(labels, *transitions))

        # Sum up by episode
        totals, components = _episode_sums(labels, mask)
        taken = int(mask.sum())
        return Checkpoint(
            steps=steps,
            fitness=float(fitness.mean()),
            fitness_std=float(fitness.std(correction=0)),
            success_rate=float((fitness >= self._task.success_threshold).double().mean()),
            own_return=float(totals.mean()),
            components={name: float(components[:, i].sum()) / taken for i, name in enumerate(labels.names)},
            correlations={name: _correlation(components[:, i], fitness) for i, name in enumerate(labels.names)},
            episode_length=float(played.length.double().mean()),
            causes={cause: float(held.double().mean()) for cause, held in played.causes.items() if held.any()},
            goal_reached=goal_reached,
            episodes=len(played),
        )


def _part(played: Episodes, mine: slice) -> Episodes:
    """Return a contiguous copy of some episodes.

    A task's fitness may round differently on strided views, so with views it would depend on the other members.
    """
    causes: Mapping[str, Tensor] = {cause: held[mine] for cause, held in played.causes.items()}
    return Episodes(
        layout=played.layout,
        states=played.states[:, mine].contiguous(),
        actions=played.actions[:, mine].contiguous(),
        length=played.length[mine],
        terminated=played.terminated[mine],
        control_step=played.control_step,
        causes=causes,
    )


def _episode_sums(labels: Labels, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return each episode's sums of the total ``(n,)`` and of the components ``(n, C)``, float64.

    Args:
        mask: ``(T, n)`` bools; the labels are of its true entries, in row-major order.
    """
    episode = mask.nonzero()[:, 1]
    count = mask.shape[1]
    totals = torch.zeros(count, dtype=torch.float64).index_add_(0, episode, labels.reward.double())
    components = torch.zeros(count, len(labels.names), dtype=torch.float64)
    return totals, components.index_add_(0, episode, labels.components.double())


def _correlation(first: Tensor, second: Tensor) -> float:
    """Return Pearson's r of two vectors ``(n,)``; NaN if either is constant up to rounding or not finite."""
    a, b = first - first.mean(), second - second.mean()
    # Constant: the largest deviation is within rounding of the other's scale
    flat = [float(x.abs().max()) <= 1e-9 * max(1.0, float(y.abs().max())) for x, y in ((a, first), (b, second))]
    if any(flat) or not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        return math.nan
    return float((a @ b) / (a.norm() * b.norm()))
