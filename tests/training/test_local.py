"""The trainers behind one interface: chosen once, and what they report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from rewardgen.config import Config, TrainingConfig
from rewardgen.errors import UsageError
from rewardgen.records import RewardProgram, TrainingResult
from rewardgen.sandbox import Sandbox
from rewardgen.sim.arrangement import ON_CPU
from rewardgen.tasks import Task
from rewardgen.training import Trainer, TrainingSetup, TrainingSpec, Watcher, make_trainer, task_rewards
from rewardgen.training.local import PopulationTrainer, Sb3Trainer

NEAR = """def compute_reward(state, action, next_state):
    near = -next_state.position.abs()
    return near, {"near": near}
"""
BROKEN = "raise ValueError('it does not even start')\n"


class Told(Watcher):
    """Writes down who began and who ended, in the order in which it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[tuple[str, int]]]] = []

    def begin(self, members: Sequence[tuple[str, int]]) -> None:
        self.calls.append(("begin", list(members)))

    def end(self, results: Sequence[TrainingResult]) -> None:
        self.calls.append(("end", [(result.key, result.seed) for result in results]))


@pytest.fixture
def settings(config: TrainingConfig) -> Config:
    return Config(task="test/point", training=config, threads=1)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(level="basic") as made:
        yield made


def test_the_trainer_is_chosen_by_the_settings(task: Task, settings: Config) -> None:
    def remote(setup: TrainingSetup) -> Trainer:
        asked.append(setup)
        return elsewhere

    asked: list[TrainingSetup] = []
    elsewhere = PopulationTrainer(TrainingSetup(task, settings, ON_CPU))
    setup = TrainingSetup(task, settings, ON_CPU)
    assert isinstance(make_trainer(setup), PopulationTrainer) and make_trainer(setup).batched
    assert make_trainer(setup, remote) is elsewhere and asked == [setup]
    reference = settings.model_copy(update={"training": settings.training.model_copy(update={"trainer": "sb3"})})
    setup = TrainingSetup(task, reference, ON_CPU)
    for made in (make_trainer(setup), make_trainer(setup, remote)):  # the reference always stays here
        assert isinstance(made, Sb3Trainer) and not made.batched
    assert len(asked) == 1


@pytest.mark.parametrize("trainer", ["population", "sb3"])
def test_results_come_in_order_and_are_reported_once(
    trainer: Any, task: Task, settings: Config, sandbox: Sandbox
) -> None:
    training = settings.training.model_copy(update={"trainer": trainer})
    setup = TrainingSetup(task, settings.model_copy(update={"training": training}), ON_CPU, sandbox)
    rewards = {"broken": RewardProgram(BROKEN), "good": RewardProgram(NEAR), "expert": task_rewards(task)["expert"]}
    specs = [TrainingSpec(key, seed, reward) for seed in (1, 2) for key, reward in rewards.items()]
    told = Told()
    made = make_trainer(setup)
    results = made.train(specs, told)
    statuses = {"broken": "failed", "good": "done", "expert": "done"}
    members = [(spec.key, spec.seed) for spec in specs]
    assert [(result.key, result.seed) for result in results] == members
    assert all(result.status == statuses[result.key] for result in results)
    ended = [("end", members)] if made.batched else [("end", [member]) for member in members]
    assert told.calls == [("begin", members), *ended]


def test_a_program_needs_a_sandbox(task: Task, settings: Config) -> None:
    specs = [TrainingSpec("good", 1, RewardProgram(NEAR))]
    with pytest.raises(UsageError, match="sandbox"):
        make_trainer(TrainingSetup(task, settings, ON_CPU)).train(specs, Watcher())
