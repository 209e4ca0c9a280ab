"""The trainer that sends trainings to other machines, with the same interface as the local trainers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Protocol

from rewardgen.records import TrainingResult
from rewardgen.remote.shards import ShardOrder, ShardResult, order_for
from rewardgen.tasks import Task
from rewardgen.training import TrainingSetup, TrainingSpec, Watcher


class ShardRunner(Protocol):
    """Executes orders on other machines."""

    def run(self, order: ShardOrder, task: Task, watcher: Watcher) -> ShardResult:
        """Train all members of an order for ``task``; ``watcher`` is called in this process.

        Raises:
            ClusterError: the machines cannot be reached, or a result is invalid.
            RewardgenError: an error that was raised on another machine.
        """


class RemoteTrainer:
    """Runs trainings on other machines through ``runner``."""

    batched = True

    def __init__(self, runner: ShardRunner, setup: TrainingSetup) -> None:
        self._runner, self._setup = runner, setup

    def train(self, specs: Sequence[TrainingSpec], watcher: Watcher) -> list[TrainingResult]:
        """See ``training.Trainer``. Sandbox workers run on the machines that train."""
        setup, collector = self._setup, watcher.collector
        watcher.begin([(spec.key, spec.seed) for spec in specs])
        order = order_for(setup.config, specs, setup.envs, episodes=collector is not None, form=setup.form)
        result = self._runner.run(order, setup.task, watcher)
        # Collect the episodes checkpoint by checkpoint, in the order of a local training
        if collector is not None:
            for point in zip_longest(*result.episodes):
                for episode in (each for each in point if each is not None):
                    collector.keep(episode)
        watcher.end(result.results)
        return list(result.results)
