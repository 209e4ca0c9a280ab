"""The trainer that sends trainings to other machines, behind the same interface as those of this one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Protocol

from rewardgen.records import TrainingResult
from rewardgen.remote.shards import ShardOrder, ShardResult, order_for
from rewardgen.tasks import Task
from rewardgen.training import TrainingSetup, TrainingSpec, Watcher


class ShardRunner(Protocol):
    """Other machines, where orders are carried out."""

    def run(self, order: ShardOrder, task: Task, watcher: Watcher) -> ShardResult:
        """Train all members of an order for ``task``; ``watcher`` is called here.

        Raises:
            ClusterError: the machines cannot be reached, or what came back is not what was ordered.
            RewardgenError: what was raised where it was carried out.
        """


class RemoteTrainer:
    """Has trainings carried out by ``runner``."""

    batched = True

    def __init__(self, runner: ShardRunner, setup: TrainingSetup) -> None:
        self._runner, self._setup = runner, setup

    def train(self, specs: Sequence[TrainingSpec], watcher: Watcher) -> list[TrainingResult]:
        """See ``training.Trainer``. Programs are opened where they are trained."""
        setup, collector = self._setup, watcher.collector
        watcher.begin([(spec.key, spec.seed) for spec in specs])
        order = order_for(setup.config, specs, setup.envs, episodes=collector is not None, form=setup.form)
        result = self._runner.run(order, setup.task, watcher)
        if collector is not None:
            for point in zip_longest(*result.episodes):  # checkpoint by checkpoint, as a training here collects them
                for episode in (each for each in point if each is not None):
                    collector.keep(episode)
        watcher.end(result.results)
        return list(result.results)
