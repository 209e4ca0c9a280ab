"""Evaluations of known policies, against playing their episodes one policy at a time."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rewardgen.evaluation import evaluate
from rewardgen.tasks import Episodes, Task, load_task


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("cartpole/swingup")


def push(observation: Tensor) -> Tensor:
    """Three policies of two episodes: nothing, and two ways to swing."""
    strength = torch.tensor([0.0, 1.0, -1.0]).repeat_interleave(2)
    return (strength * observation[:, 4]).sign()[:, None]


def test_each_policys_episodes_stay_together(task: Task) -> None:
    together = evaluate(task, push, policies=3, episodes=2, seed=5, resamples=200)
    assert (together.seeds, [len(row) for row in together.fitness]) == (3, [2, 2, 2])
    assert together.mean == pytest.approx(sum(map(sum, together.fitness)) / 6)
    assert together.low <= together.mean <= together.high
    first = evaluate(task, lambda seen: torch.zeros(len(seen), 1), policies=1, episodes=2, seed=5, resamples=200)
    assert first.fitness[0] == together.fitness[0]


def test_episodes_follow_from_the_seed(task: Task) -> None:
    starts: list[Tensor] = []

    def watch(observation: Tensor) -> Tensor:
        starts.append(observation.clone())
        return torch.zeros(len(observation), 1)

    calls = []
    for seed in (1, 1, 2):
        calls.append(len(starts))
        evaluate(task, watch, policies=2, episodes=3, seed=seed, resamples=200, threads=1)
    first, again, other = (starts[i] for i in calls)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len({tuple(row) for row in first.tolist()}) == 6


def test_a_nan_never_wins_and_never_hides(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(episode: Episodes) -> Tensor:
        values = torch.full((len(episode),), 100.0)
        values[1] = math.nan
        return values

    monkeypatch.setattr(task, "fitness", broken)
    result = evaluate(task, push, policies=3, episodes=2, seed=0, resamples=200)
    assert all(math.isnan(value) for value in (result.mean, result.low, result.high))
    assert result.success_rate == pytest.approx(5 / 6)
