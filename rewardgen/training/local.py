"""The local trainers: PPO over a population, and the reference, which runs one training after another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from rewardgen.errors import UsageError
from rewardgen.records import RewardProgram, TrainingResult
from rewardgen.training.credit import credit_of
from rewardgen.training.interface import MakeTrainer, Trainer, TrainingSetup, TrainingSpec
from rewardgen.training.labelling import Member, Reward, label_rows
from rewardgen.training.sb3 import train_sb3
from rewardgen.training.trainer import train
from rewardgen.training.watcher import PartWatcher, Watcher


def make_trainer(setup: TrainingSetup, remote: MakeTrainer | None = None) -> Trainer:
    """Return the trainer for ``setup``; no other code makes this choice.

    Args:
        remote: makes the trainer that uses other machines. The reference trainer always runs on this machine.
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
            # Start the sandbox workers
            members = open_members(setup, specs, workers)
            watcher.begin([(member.key, member.seed) for member in members])

            # Train all members, resuming from saved state if there is any
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
        return results


class Sb3Trainer:
    """Trains one member after another with Stable-Baselines3, as the reference."""

    batched = False

    def __init__(self, setup: TrainingSetup) -> None:
        self._setup = setup

    def train(self, specs: Sequence[TrainingSpec], watcher: Watcher) -> list[TrainingResult]:
        """See ``Trainer``."""
        setup, steps = self._setup, self._setup.config.training.steps
        results = []
        with ExitStack() as workers:
            members = open_members(setup, specs, workers)
            watcher.begin([(member.key, member.seed) for member in members])
            for number, member in enumerate(members):
                result = train_sb3(
                    setup.task,
                    member,
                    setup.config.training,
                    threads=setup.config.threads,
                    watcher=PartWatcher(watcher, number * steps),
                )
                watcher.end([result])
                results.append(result)
        return results


def open_members(setup: TrainingSetup, specs: Sequence[TrainingSpec], workers: ExitStack) -> list[Member]:
    """Return a member for each of ``specs``, in their order, with a sandbox worker for each program.

    Args:
        workers: closes the sandbox workers on exit.

    Raises:
        SandboxError: a worker cannot be started.
        UsageError: there is a program, and no sandbox to run it in.
    """
    credit = credit_of(setup.form, setup.config.credit)
    opened: dict[str, Reward] = {}
    members = []
    for spec in specs:
        if not isinstance(spec.reward, RewardProgram):
            members.append(Member(spec.key, spec.seed, spec.reward))
            continue
        if spec.key not in opened:
            # One worker per program: it labels all seeds of the program in one call
            sharing = sum(other.key == spec.key for other in specs)
            opened[spec.key] = open_worker(setup, spec.reward, sharing, workers)
        members.append(Member(spec.key, spec.seed, opened[spec.key], credit))
    return members


def open_worker(setup: TrainingSetup, program: RewardProgram, seeds: int, workers: ExitStack) -> Reward:
    """Start a sandbox worker for ``program`` that can label ``seeds`` members in one call; ``workers`` closes it.

    Raises:
        SandboxError: the worker cannot be started.
        UsageError: there is no sandbox.
    """
    if setup.sandbox is None:
        raise UsageError("a reward program can be trained only with a sandbox to run it in")
    task = setup.task
    worker = setup.sandbox.open(program, task.layout, task.action_size, label_rows(setup.config.training, seeds))
    workers.callback(worker.close)
    return worker
