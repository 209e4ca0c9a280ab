"""Measure the baselines of a task: train its hand-written rewards as candidates are trained, and evaluate them.

A baseline depends on the task, the settings of training and evaluation, the code, its packages and the machine, but not
on the run: it has seeds of its own. A run that finds it in the cache has the same numbers as one that measures it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rewardgen import seeds
from rewardgen.baselines.cache import REWARDS, find, keep, key, locked, training_seeds
from rewardgen.config import Config
from rewardgen.evaluation import evaluate
from rewardgen.records import Evaluation, TrainingResult
from rewardgen.store import Baseline
from rewardgen.tasks import Task
from rewardgen.training import (
    Population,
    Saves,
    TrainingSetup,
    TrainingSpec,
    Watcher,
    arrangement_of,
    make_trainer,
    task_rewards,
)
from rewardgen.training.provenance import origin
from rewardgen.training.save_folders import of_baselines


def shared_reward(task: Task) -> bool:
    """Return whether the sparse and the expert reward of ``task`` are the same method, which is then trained once.

    A task declares this with ``sparse_reward = expert_reward`` (or the reverse) in the body of its class. Two methods
    that only return the same numbers count as two rewards.
    """
    return task.sparse_reward == task.expert_reward  # bound methods are equal if function and object are the same


def measure(
    folder: Path, task: Task, config: Config, *, again: bool = False, watcher: Watcher | None = None
) -> dict[str, Baseline]:
    """Return the expert and the sparse baseline of ``task``; train, evaluate and store those that are not cached.

    Args:
        folder: folder of the cache.
        config: ``training``, ``evaluation``, ``threads``, ``sim`` and ``device`` are used; the last two must not be
            "auto".
        again: measure even if there is a cached baseline.
        watcher: receives the progress of the trainings.

    Raises:
        SimulationFailed: MuJoCo reported an error.
    """
    with locked(folder, task, config):
        # Choose what to train: the rewards that are not cached, and only one of them if both are the same method
        found = {} if again else find(folder, task, config)
        missing = [name for name in REWARDS if name not in found]
        about = origin(task, config)
        saves = of_baselines(folder, key(about, "training")[:16], about)
        trained = missing if not shared_reward(task) else missing[:1] if not found else []
        if trained and _saved(saves, task, config):
            # An earlier process trained both rewards and was killed after storing one: resume its finished training
            trained = list(REWARDS)

        # Train
        setup = TrainingSetup(task, config, arrangement_of(config, task), saves=lambda *_: saves)
        results = make_trainer(setup).train(_specs(task, config, trained), watcher or Watcher()) if trained else []

        # Evaluate
        for name in trained:
            mine = tuple(sorted((result for result in results if result.key == name), key=lambda result: result.seed))
            found[name] = Baseline(name, mine, evaluate_trainings(task, config, mine, seeds.baseline_episode_seed()))

        # Store; the second of two equal rewards gets the results of the first
        for name in missing:
            if name not in found:
                found[name] = renamed(name, next(iter(found.values())))
            keep(folder, task, config, name, found[name].trainings, found[name].evaluation)
        saves.delete()
    return {name: found[name] for name in REWARDS}


def _specs(task: Task, config: Config, names: Sequence[str]) -> list[TrainingSpec]:
    """Return the trainings of the rewards ``names``, one per reward and training seed."""
    rewards = task_rewards(task)
    return [TrainingSpec(name, seed, rewards[name]) for name in names for seed in training_seeds(config)]


def _saved(saves: Saves, task: Task, config: Config) -> bool:
    """Return whether there is saved state of a training of both rewards."""
    return saves.path([(spec.key, spec.seed) for spec in _specs(task, config, REWARDS)]).exists()


def renamed(name: str, twin: Baseline) -> Baseline:
    """Return the results of ``twin`` under the name of the reward ``name``, which is the same method."""
    return Baseline(name, tuple(replace(each, key=name) for each in twin.trainings), twin.evaluation)


def evaluate_trainings(
    task: Task, config: Config, trainings: Sequence[TrainingResult], episode_seed: int
) -> Evaluation:
    """Evaluate trained policies on fresh episodes.

    If one training failed, all values are NaN: a mean over the other seeds would hide the failure.

    Args:
        episode_seed: seed of the episodes' start states.
    """
    settings = config.evaluation
    weights = [training.weights for training in trainings if training.weights is not None]
    if len(weights) < len(trainings) or any(training.status == "failed" for training in trainings):
        nothing = tuple((math.nan,) for _ in trainings)
        return Evaluation(nothing, math.nan, math.nan, math.nan, math.nan, settings.confidence)
    arrangement = arrangement_of(config, task)
    population = Population.from_weights(weights, task, config.training, arrangement.device)
    return evaluate(
        task,
        population.act,
        policies=len(weights),
        episodes=settings.report_episodes,
        seed=episode_seed,
        threads=config.threads,
        arrangement=arrangement,
        confidence=settings.confidence,
        resamples=settings.resamples,
    )
