"""Training with mujoco_warp on the processor: it learns, repeats itself, and what it writes is played anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from safetensors.torch import load

from rewardgen.config import TrainingConfig
from rewardgen.evaluation import evaluate
from rewardgen.records import TrainingResult
from rewardgen.sim import Arrangement
from rewardgen.sim.arrangement import ON_CPU
from rewardgen.tasks import Task
from rewardgen.training import Member, Population, train
from rewardgen.training.memory import world_bytes
from tests.training.watchers import Written

pytest.importorskip("mujoco_warp")
WARP = Arrangement("warp", torch.device("cpu"))


@pytest.fixture(scope="module")
def learnt(task: Task) -> Mapping[str, list[TrainingResult]]:
    """Two seeds with either simulator."""
    from rewardgen.training import TaskReward

    reward = TaskReward(task.expert_reward, task.layout)
    config = TrainingConfig(
        steps=16_000, worlds=16, rollout=16, epochs=5, minibatches=4, hidden=(16, 16), checkpoints=4,
        checkpoint_episodes=16, score_episodes=0,
    )  # fmt: skip
    members = [Member("expert", seed, reward) for seed in range(2)]
    return {
        "warp": train(task, members, config, arrangement=WARP),
        "mujoco": train(task, members, config),
        "start": train(task, members, config.model_copy(update={"steps": 1, "learning_rate": 1e-9, "checkpoints": 1})),
    }


@pytest.mark.slow
def test_it_learns_as_with_mujoco(learnt: Mapping[str, list[TrainingResult]]) -> None:
    for mine, theirs, start in zip(learnt["warp"], learnt["mujoco"], learnt["start"], strict=True):
        assert mine.status == "done"
        # good policies score about -0.15 and miss by less than 0.1; untrained ones score about -0.5
        assert mine.score > start.score + 0.1
        assert mine.score > -0.3
        assert mine.score == pytest.approx(theirs.score, abs=0.1)


@pytest.mark.slow
def test_its_policies_are_files_like_any_and_worth_the_same_with_mujoco(
    task: Task, learnt: Mapping[str, list[TrainingResult]]
) -> None:
    blobs = [result.weights for result in learnt["warp"] if result.weights is not None]
    theirs = [result.weights for result in learnt["mujoco"] if result.weights is not None]
    described = [{name: (v.shape, v.dtype) for name, v in load(blob).items()} for blob in (blobs[0], theirs[0])]
    assert described[0] == described[1]
    population = Population.from_weights(blobs, task)
    scores = [
        evaluate(task, population.act, policies=2, episodes=16, seed=7, arrangement=arrangement)
        for arrangement in (WARP, ON_CPU)
    ]
    assert scores[0].mean == pytest.approx(scores[1].mean, abs=1e-3)


@pytest.mark.slow
def test_a_repeated_training_and_the_survivors_of_a_race_are_the_same(
    task: Task, config: TrainingConfig, member: Callable[[int], Member]
) -> None:
    def judge(steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        return {1: "behind"}

    members = [member(seed) for seed in range(3)]
    first, second = (train(task, members, config, arrangement=WARP) for _ in range(2))
    raced = train(task, members, config, arrangement=WARP, watcher=Written(judge))
    assert [result.status for result in raced] == ["done", "stopped", "done"]
    for k in range(3):
        assert first[k].weights == second[k].weights
        assert first[k].curve == second[k].curve
        if k != 1:
            assert (raced[k].weights, raced[k].curve) == (first[k].weights, first[k].curve)


def test_the_bytes_of_a_world_are_those_that_more_worlds_take(task: Task) -> None:
    small, large = (WARP.simulator(task.model, count).device_bytes for count in (32, 320))
    assert 288 * world_bytes(task, WARP) == pytest.approx(large - small, rel=0.05)
    # at the least, position and velocity in float32
    assert world_bytes(task, WARP) >= 4 * (task.model.nq + task.model.nv)
    assert world_bytes(task, ON_CPU) == 0
