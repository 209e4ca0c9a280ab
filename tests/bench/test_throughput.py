"""Throughput on small sizes: what is counted, not how fast this machine is."""

from __future__ import annotations

import math

import pytest
import torch

from rewardgen import bench
from rewardgen.bench import throughput
from rewardgen.config import TrainingConfig
from rewardgen.errors import UsageError
from rewardgen.tasks import load_task

SMALL = TrainingConfig(steps=2048, worlds=8, rollout=8, epochs=1, minibatches=2, checkpoints=2, checkpoint_episodes=1)


def test_all_keys_are_there_and_agree() -> None:
    task = load_task("cartpole/swingup")
    said: list[str] = []
    result = bench.measure(task, SMALL, population=2, updates=3, threads=1, say=said.append)
    assert set(result) == {
        "physics_steps_per_s",
        "train_steps_per_s",
        "sb3_steps_per_s",
        "ratio_to_physics",
        "ratio_to_sb3",
        "sandbox_share",
        "checkpoint_share",
        "first_reward_ms",
    }
    assert result["ratio_to_physics"] == pytest.approx(result["train_steps_per_s"] / result["physics_steps_per_s"])
    assert 0.0 < result["ratio_to_physics"] < 1.0
    assert 0.0 < result["sandbox_share"] < 1.0
    assert 0.0 < result["checkpoint_share"] < 1.0
    assert math.isnan(result["sb3_steps_per_s"])  # Gymnasium has no such task
    assert len(said) == 2


def test_physics_is_timed_on_what_training_commanded() -> None:
    task = load_task("cartpole/swingup")
    _, commands = throughput.training_rate(task, SMALL, population=2, updates=3, threads=1)
    assert len(commands) == (throughput._WARM_UPDATES + 3) * SMALL.rollout
    first = torch.stack(commands)
    assert first.shape[1:] == (2 * SMALL.worlds, task.action_size)
    assert bool((first >= task.action_low).all()) and bool((first <= task.action_high).all())
    # the two members explore by noise of their own, and the first commands are nothing but that noise
    assert 0.2 < float(first[:8].std()) < 2.0
    assert not torch.equal(first[:, : SMALL.worlds], first[:, SMALL.worlds :])


@pytest.mark.slow
def test_the_reference_is_timed() -> None:
    assert throughput.sb3_rate("Pendulum-v1") > 0.0


@pytest.mark.parametrize("sizes", [{"population": 0}, {"updates": 0}])
def test_nothing_to_measure(sizes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="at least one"):
        bench.measure(load_task("cartpole/swingup"), SMALL, **sizes)  # type: ignore[arg-type]
