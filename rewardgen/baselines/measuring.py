"""Measure what people's rewards reach on a task, trained as a candidate is. Measured once, used by every run.

A baseline follows from the task, the settings of training and evaluation, this code, its packages and this machine,
and from nothing of a run: its seeds are its own. A run that finds it has the same numbers as one that measures it.
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
    """Return whether the sparse reward of ``task`` is the same method as its expert's: then it is trained once.

    A task says so with ``sparse_reward = expert_reward`` (or the other way round) in the body of its class. Two methods
    that happen to give the same numbers are two rewards.
    """
    return task.sparse_reward == task.expert_reward  # the same function bound to the same object


def measure(
    folder: Path, task: Task, config: Config, *, again: bool = False, watcher: Watcher | None = None
) -> dict[str, Baseline]:
    """Return the expert's and the sparse reward's baselines of ``task``; those that are missing are trained and kept.

    Args:
        folder: where baselines are kept.
        config: ``training``, ``evaluation``, ``threads``, ``sim`` and ``device`` are used, these two without "auto".
        again: measure even what was measured before.
        watcher: follows the trainings.

    Raises:
        SimulationFailed: MuJoCo reported an error.
    """
    with locked(folder, task, config):
        # What has to be trained: nothing of what is known, and one reward where both are the same function
        found = {} if again else find(folder, task, config)
        missing = [name for name in REWARDS if name not in found]
        about = origin(task, config)
        saves = of_baselines(folder, key(about, "training")[:16], about)
        trained = missing if not shared_reward(task) else missing[:1] if not found else []
        if trained and _saved(saves, task, config):
            # a process that trained both was killed when it had kept one of them: their training is only read
            trained = list(REWARDS)

        # Train, evaluate and keep
        setup = TrainingSetup(task, config, arrangement_of(config, task), saves=lambda *_: saves)
        results = make_trainer(setup).train(_specs(task, config, trained), watcher or Watcher()) if trained else []
        for name in trained:
            mine = tuple(sorted((result for result in results if result.key == name), key=lambda result: result.seed))
            found[name] = Baseline(name, mine, evaluate_trainings(task, config, mine, seeds.baseline_episode_seed()))
        for name in missing:
            if name not in found:
                found[name] = renamed(name, next(iter(found.values())))
            keep(folder, task, config, name, found[name].trainings, found[name].evaluation)
        saves.delete()
    return {name: found[name] for name in REWARDS}


def _specs(task: Task, config: Config, names: Sequence[str]) -> list[TrainingSpec]:
    rewards = task_rewards(task)
    return [TrainingSpec(name, seed, rewards[name]) for name in names for seed in training_seeds(config)]


def _saved(saves: Saves, task: Task, config: Config) -> bool:
    """Return whether there is the saved state of a training of both rewards."""
    return saves.path([(spec.key, spec.seed) for spec in _specs(task, config, REWARDS)]).exists()


def renamed(name: str, twin: Baseline) -> Baseline:
    """Return the results of ``twin`` as those of the reward ``name``, which is the same function."""
    return Baseline(name, tuple(replace(each, key=name) for each in twin.trainings), twin.evaluation)


def evaluate_trainings(
    task: Task, config: Config, trainings: Sequence[TrainingResult], episode_seed: int
) -> Evaluation:
    """Return the score of trained policies on fresh episodes.

    A training that failed makes the whole score NaN: it never wins and never hides.
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
