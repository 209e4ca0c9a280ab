"""Throughput on small sizes: what is counted, not how fast this machine is."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch

from rewardgen import bench
from rewardgen.bench import reference, throughput
from rewardgen.config import TrainingConfig
from rewardgen.errors import UsageError
from rewardgen.tasks import load_task

SMALL = TrainingConfig(
    steps=2048, worlds=8, rollout=8, epochs=1, minibatches=2, checkpoints=2, checkpoint_episodes=1, score_episodes=1
)


@pytest.mark.slow
def test_all_keys_are_there_and_agree() -> None:
    task = load_task("cartpole/swingup")
    said: list[str] = []
    result = bench.measure(task, SMALL, population=2, updates=4, scaling=(1, 3), threads=1, on_progress=said.append)
    assert set(result) == {
        "physics_steps_per_s",
        "physics_random_steps_per_s",
        "train_steps_per_s",
        "sb3_steps_per_s",
        "envpool_steps_per_s",
        "ratio_to_physics",
        "ratio_to_physics_random",
        "ratio_to_sb3",
        "ratio_to_envpool",
        "rollout_share",
        "learning_share",
        "checkpoint_share",
        "sandbox_share",
        "first_reward_ms",
        "scaling",
    }
    assert result["ratio_to_physics"] == pytest.approx(result["train_steps_per_s"] / result["physics_steps_per_s"])
    assert 0.0 < result["ratio_to_physics"] < 1.0
    shares = [value for name, value in result.items() if name.endswith("_share")]
    assert all(0.0 < share < 1.0 for share in shares) and 0.5 < sum(shares) <= 1.0
    assert math.isnan(result["sb3_steps_per_s"])  # Gymnasium has no such task
    assert math.isnan(result["envpool_steps_per_s"])
    assert list(result["scaling"]) == [1, 3] and all(rate > 0.0 for rate in result["scaling"].values())
    assert len(said) == 4


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
    assert reference.sb3_rate("Pendulum-v1") > 0.0


def test_random_commands_fill_the_range() -> None:
    task = load_task("cartpole/swingup")
    drawn = torch.stack(throughput.random_commands(task, [torch.zeros(64, task.action_size)] * 16))
    assert bool((drawn >= task.action_low).all()) and bool((drawn <= task.action_high).all())
    assert float(drawn.max() - drawn.min()) > 0.95 * float(task.action_high - task.action_low)


def test_an_interpreter_without_envpool_says_so() -> None:
    with pytest.raises(UsageError, match="envpool"):
        reference.envpool_rate(Path(sys.executable), "Pendulum-v1", SMALL, worlds=8)
    with pytest.raises(UsageError, match="no-such-python"):
        reference.envpool_rate(Path("no-such-python"), "Pendulum-v1", SMALL, worlds=8)


@pytest.mark.parametrize("sizes", [{"population": 0}, {"updates": 0}])
def test_nothing_to_measure(sizes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="at least one"):
        bench.measure(load_task("cartpole/swingup"), SMALL, **sizes)  # type: ignore[arg-type]
