"""The trainers of this machine: PPO over a population, and the reference, one training after another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from rewardgen.errors import RewardFailed, UsageError
from rewardgen.records import RewardProgram, TrainingResult
from rewardgen.training.credit import credit_of
from rewardgen.training.interface import MakeTrainer, Trainer, TrainingSetup, TrainingSpec
from rewardgen.training.labelling import Member, Reward, label_rows
from rewardgen.training.sb3 import train_sb3
from rewardgen.training.trainer import train
from rewardgen.training.watcher import PartWatcher, Watcher


def make_trainer(setup: TrainingSetup, remote: MakeTrainer | None = None) -> Trainer:
    """Choose the trainer for ``setup``: the only place where that is decided.

    Args:
        remote: makes the trainer that uses other machines. The reference trainer always stays on this one.
    """
    if setup.config.training.trainer == "sb3":
        return Sb3Trainer(setup)
    return remote(setup) if remote is not None else PopulationTrainer(setup)


class PopulationTrainer:
    """Trains all members as one batch."""

    batched = True

    def __init__(self, setup: TrainingSetup) -> None:
        self._setup = setup

    def train(self, specs: Sequence[TrainingSpec], watcher: Watcher) -> list[TrainingResult]:
        """See ``Trainer``."""
        setup = self._setup
        with ExitStack() as workers:
            members, failed = open_members(setup, specs, workers)
            if failed:
                watcher.unopened(failed)
            if not members:
                return failed
            watcher.begin([(member.key, member.seed) for member in members])
            sources = {spec.key: spec.reward.source for spec in specs if isinstance(spec.reward, RewardProgram)}
            saves = setup.saves(members, sources, watcher.collector) if setup.saves is not None else None
            results = train(
                setup.task,
                members,
                setup.config.training,
                threads=setup.config.threads,
                arrangement=setup.arrangement,
                watcher=watcher,
                saves=saves,
            )
            watcher.end(results)
        return in_order(specs, [*failed, *results])


class Sb3Trainer:
    """Trains one member after another with Stable-Baselines3, as the reference."""

    batched = False

    def __init__(self, setup: TrainingSetup) -> None:
        self._setup = setup

    def train(self, specs: Sequence[TrainingSpec], watcher: Watcher) -> list[TrainingResult]:
        """See ``Trainer``."""
        setup, steps = self._setup, self._setup.config.training.steps
        with ExitStack() as workers:
            members, results = open_members(setup, specs, workers)
            if results:
                watcher.unopened(results)
            if members:
                watcher.begin([(member.key, member.seed) for member in members])
            for number, member in enumerate(members):
                part = PartWatcher(watcher, number * steps)
                result = train_sb3(
                    setup.task, member, setup.config.training, threads=setup.config.threads, watcher=part
                )
                watcher.end([result])
                results.append(result)
        return in_order(specs, results)


def open_members(
    setup: TrainingSetup, specs: Sequence[TrainingSpec], workers: ExitStack
) -> tuple[list[Member], list[TrainingResult]]:
    """Start a sandbox worker for each program, and pair every spec with its reward.

    Args:
        workers: closes the workers.

    Returns:
        The members, and the results of those whose program's worker did not start.

    Raises:
        UsageError: there is a program, and no sandbox to run it in.
    """
    members: list[Member] = []
    failed: list[TrainingResult] = []
    credit = credit_of(setup.form, setup.config.credit)
    for key in dict.fromkeys(spec.key for spec in specs):
        own = [spec for spec in specs if spec.key == key]
        reward = own[0].reward
        if isinstance(reward, RewardProgram):
            try:
                opened = open_worker(setup, reward, len(own), workers)
            except RewardFailed as failure:
                failed += [TrainingResult.unopened(key, spec.seed, failure) for spec in own]
                continue
            members += [Member(key, spec.seed, opened, credit) for spec in own]
        else:
            members += [Member(key, spec.seed, reward) for spec in own]
    return members, failed


def open_worker(setup: TrainingSetup, program: RewardProgram, seeds: int, workers: ExitStack) -> Reward:
    """Run ``program`` in a sandbox worker that can label ``seeds`` members at once, until ``workers`` is closed.

    Raises:
        RewardFailed: the worker does not start.
        UsageError: there is no sandbox.
    """
    if setup.sandbox is None:
        raise UsageError("a reward program can be trained only with a sandbox to run it in")
    task = setup.task
    worker = setup.sandbox.open(program, task.layout, task.action_size, label_rows(setup.config.training, seeds))
    workers.callback(worker.close)
    return worker


def in_order(specs: Sequence[TrainingSpec], results: Sequence[TrainingResult]) -> list[TrainingResult]:
    """Return ``results`` in the order of ``specs``."""
    by_member = {(result.key, result.seed): result for result in results}
    return [by_member[spec.key, spec.seed] for spec in specs]
