"""Evaluate trained policies on fresh episodes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from rewardgen.evaluation.interval import interval
from rewardgen.records import Evaluation
from rewardgen.sim import Arrangement
from rewardgen.sim.arrangement import ON_CPU
from rewardgen.tasks import Task, play_episodes


@torch.no_grad()
def evaluate(
    task: Task,
    act: Callable[[Tensor], Tensor],
    *,
    policies: int,
    episodes: int,
    seed: int,
    threads: int = 0,
    arrangement: Arrangement = ON_CPU,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Evaluation:
    """Measure the fitness of ``policies`` trained policies over ``episodes`` whole episodes each, in one batch.

    An episode with NaN fitness makes the mean and its bounds NaN and is not a success, so that it cannot go unnoticed.

    Args:
        act: deterministic actions ``(n, A)`` in actuator units for observations ``(n, O)``, each policy's rows
            together, such as ``Population.act``.
        seed: the episodes' start states and the resamples follow from it; it must be one that no training and no
            selection was given.
        threads: CPU threads for physics; 0: all.
        arrangement: simulator and device. Use the training's for scores that are compared with it: simulators and
            devices differ in rounding, and so do the episodes of a policy.
        confidence: of the bounds, such as 0.95.
        resamples: bootstrap resamples behind the bounds.
    """
    # One generator for start states and resamples: the result depends on ``seed`` only
    generator = Generator().manual_seed(seed)
    streams = torch.randint(torch.iinfo(torch.int64).max, (policies * episodes,), generator=generator)
    sim = arrangement.simulator(task.model, policies * episodes, threads)
    fitness = task.fitness(play_episodes(task, sim, act, streams).on_host()).double().view(policies, episodes)
    per_policy = tuple(tuple(row) for row in fitness.tolist())
    low, high = interval(per_policy, confidence, resamples, generator)
    least, greatest = task.fitness_range  # clip the bounds to the possible range; NaN stays NaN
    low, high = (max(low, least) if low == low else low), (min(high, greatest) if high == high else high)
    return Evaluation(
        fitness=per_policy,
        mean=float(fitness.mean()),
        low=low,
        high=high,
        success_rate=float((fitness >= task.success_threshold).double().mean()),
        confidence=confidence,
    )
