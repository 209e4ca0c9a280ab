"""The score of a training that is over: its kept policy, on episodes that did not choose it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from rewardgen.config import TrainingConfig
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Episodes, Task, play_episodes
from rewardgen.training import Member, Population, TaskReward, train, train_sb3
from rewardgen.training.seeds import streams
from tests.training.conftest import Point
from tests.training.watchers import Written

EPISODES = 24


@pytest.fixture
def scored(config: TrainingConfig) -> TrainingConfig:
    return config.model_copy(update={"checkpoints": 4, "checkpoint_episodes": 2, "score_episodes": EPISODES})


def played_again(task: Task, weights: bytes, seed: int) -> torch.Tensor:
    """The fitness of a policy from its file on a training's scoring episodes, ``(n,)``."""
    act = Population.from_weights([weights], task).act
    sim = MujocoSim(task.model, EPISODES, 1)
    return task.fitness(play_episodes(task, sim, act, streams(EPISODES, "score", seed))).double()


def test_the_kept_policy_is_measured_on_episodes_of_its_own(
    task: Task, scored: TrainingConfig, member: Callable[[int], Member]
) -> None:
    members = [member(seed) for seed in range(3)]
    plain = train(task, members, scored.model_copy(update={"score_episodes": 0}))
    for result, before in zip(train(task, members, scored), plain, strict=True):
        assert result.weights == before.weights and result.weights is not None
        fitness = played_again(task, result.weights, result.seed)
        assert result.score == pytest.approx(float(fitness.mean()), abs=1e-6)
        (chosen,) = (point for point in result.curve if point.chosen)
        assert (chosen.episodes, chosen.fitness_std) == (EPISODES, pytest.approx(float(fitness.std(correction=0))))
        assert chosen.steps == before.best.steps if before.best else False
        others = [(point, old) for point, old in zip(result.curve, before.curve, strict=True) if not point.chosen]
        assert len(others) == 3 and all(point == old for point, old in others)
    assert not torch.equal(streams(EPISODES, "score", 0), streams(EPISODES, "checkpoint", 0))


def test_a_score_does_not_depend_on_who_is_measured_beside_it(
    task: Task, scored: TrainingConfig, member: Callable[[int], Member]
) -> None:
    together = train(task, [member(seed) for seed in range(3)], scored)
    (alone,) = train(task, [member(1)], scored)
    assert alone.curve == together[1].curve


def test_what_a_race_stopped_is_measured_too(
    task: Task, scored: TrainingConfig, member: Callable[[int], Member]
) -> None:
    first, second = train(task, [member(0), member(1)], scored, watcher=Written(lambda steps, results: {1: "behind"}))
    assert (first.status, second.status) == ("done", "stopped")
    assert second.best is not None and second.best.episodes == EPISODES
    assert second.weights is not None
    assert second.score == pytest.approx(float(played_again(task, second.weights, 1).mean()), abs=1e-6)


class Fading(Point):
    """Its fitness can be measured at the first checkpoint of a training, and at none after it."""

    def __init__(self) -> None:
        super().__init__()
        self.measured = 0

    def fitness(self, episode: Episodes) -> torch.Tensor:
        self.measured += 1
        return super().fitness(episode) if self.measured == 1 else torch.full((len(episode),), float("nan"))


def test_a_training_whose_last_checkpoint_has_no_fitness_stays_without_a_score(scored: TrainingConfig) -> None:
    task = Fading()
    member = Member("expert", 0, TaskReward(task.expert_reward, task.layout))
    (result,) = train(task, [member], scored.model_copy(update={"keep": "last"}))
    assert math.isfinite(result.curve[0].fitness)
    assert [point.chosen for point in result.curve] == [False, False, False, True]
    assert result.best is None and math.isnan(result.score)
    assert task.measured == len(result.curve)  # nothing was played again


def test_the_reference_trainer_scores_alike(
    task: Task, scored: TrainingConfig, member: Callable[[int], Member]
) -> None:
    result = train_sb3(task, member(0), scored)
    assert result.weights is not None and result.best is not None
    assert result.best.episodes == EPISODES
    assert result.score == pytest.approx(float(played_again(task, result.weights, 0).mean()), abs=1e-6)
