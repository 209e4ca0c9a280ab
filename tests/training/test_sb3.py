"""The reference trainer: the same curve and checkpoints, with the same rewards, from Stable-Baselines3's PPO."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from rewardgen.config import TrainingConfig
from rewardgen.errors import RewardFailed
from rewardgen.records import Labels
from rewardgen.tasks import Task
from rewardgen.training import Member, Population, Reward, train_sb3
from rewardgen.training.advantages import advantages
from rewardgen.training.sb3_model import LabelledBuffer
from tests.training.watchers import Written


@pytest.mark.slow
def test_it_learns(task: Task, config: TrainingConfig, member: Callable[[int], Member]) -> None:
    config = config.model_copy(
        update={"steps": 12_000, "epochs": 5, "checkpoints": 4, "checkpoint_episodes": 16, "score_episodes": 0}
    )
    told = Written()
    result = train_sb3(task, member(0), config, watcher=told)
    assert result.status == "done"
    assert result.score > -0.3, [point.fitness for point in result.curve]
    assert len(result.curve) == 4
    assert result.weights is not None
    assert Population.from_weights([result.weights], task, config).members == 1
    assert 12_000 <= result.steps < 12_000 + 16 * 16
    assert told.steps[-1] == result.steps


def test_repeatable_and_without_a_trace_in_the_global_generators(
    task: Task, config: TrainingConfig, member: Callable[[int], Member]
) -> None:
    random.seed(1)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    first, second = (train_sb3(task, member(2), config) for _ in range(2))
    assert first.weights == second.weights
    assert first.curve == second.curve
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert random.getstate() == before[2]


def test_a_failed_reward_ends_it(task: Task, config: TrainingConfig, counted_reward: Callable[..., Reward]) -> None:
    def crash() -> Labels:
        raise RewardFailed("crash", "it crashed")

    result = train_sb3(task, Member("bad", 0, counted_reward(1, crash)), config)
    assert (result.status, result.message) == ("failed", "it crashed")


def test_labels_and_truncations_reach_the_returns() -> None:
    """Its buffer, filled as Stable-Baselines3 fills it, gives what our estimator gives for the same transitions."""
    steps, worlds, gamma, lam = 7, 3, 0.9, 0.8
    generator = torch.Generator().manual_seed(6)
    rewards, values = (torch.randn(steps, worlds, generator=generator) for _ in range(2))
    beyond, last = torch.randn(steps, worlds, generator=generator), torch.randn(worlds, generator=generator)
    terminated, truncated = (torch.rand(steps, worlds, generator=generator) < 0.25 for _ in range(2))
    truncated &= ~terminated
    ended = terminated | truncated

    class Labels7:
        def label(self) -> np.ndarray:
            return rewards.numpy()

    box = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    reference: Any = Labels7()
    buffer = LabelledBuffer(
        steps, box, box, gae_lambda=lam, gamma=gamma, n_envs=worlds, device="cpu", reference=reference
    )
    starts = np.ones(worlds, dtype=bool)
    for t in range(steps):
        given = np.zeros(worlds, dtype=np.float32)
        given[truncated[t].numpy()] += gamma * beyond[t][truncated[t]].numpy()  # as collect_rollouts does
        nothing = np.zeros((worlds, 1), dtype=np.float32)
        buffer.add(nothing, nothing, given, starts, values[t][:, None], torch.zeros(worlds))
        starts = ended[t].numpy()
    buffer.compute_returns_and_advantage(last, ended[-1].numpy())

    following = torch.cat([values[1:], last[None]])
    following = torch.where(truncated, beyond, following)
    ours = advantages(*(part[None] for part in (rewards, values, following, terminated, ended)), gamma, lam)
    np.testing.assert_allclose(buffer.advantages, ours[0].numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(buffer.returns, (ours[0] + values).numpy(), rtol=1e-4, atol=1e-5)
