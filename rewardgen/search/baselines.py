"""Baselines: what people's rewards reach on a task, trained as a candidate is. Measured once, used by every run.

A baseline follows from the task, the settings of training and evaluation, this code, its packages and this machine,
and from nothing of a run: its seeds are its own. A run that finds it has the same numbers as one that measures it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from filelock import FileLock

import rewardgen
from rewardgen.config import Config
from rewardgen.errors import StoreError
from rewardgen.evaluation import evaluate
from rewardgen.records import Evaluation, TrainingResult
from rewardgen.search import saving, seeds
from rewardgen.search.settings import resolve
from rewardgen.search.versions import processor, versions
from rewardgen.sim import EnvironmentSpec
from rewardgen.store import Baseline, read_baseline, write_baseline
from rewardgen.tasks import EnvironmentTask, Task
from rewardgen.training import Member, Population, TaskReward, arrangement_of, train, train_sb3

REWARDS = ("expert", "sparse")
"""The rewards that every task brings along."""
_ROOMS = ("sim", "tasks", "training", "evaluation")
"""What a baseline's numbers come out of."""


def task_rewards(task: Task) -> dict[str, TaskReward]:
    """The rewards that people wrote for ``task``, by name."""
    return {
        "expert": TaskReward(task.expert_reward, task.layout),
        "sparse": TaskReward(task.sparse_reward, task.layout),
    }


def shared_reward(task: Task) -> bool:
    """Whether the sparse reward of ``task`` is the very method that is its expert's: then it is trained once.

    A task says so with ``sparse_reward = expert_reward`` (or the other way round) in the body of its class. Two methods
    that happen to give the same numbers are two rewards.
    """
    return task.sparse_reward == task.expert_reward  # the same function bound to the same object


def training_seeds(config: Config) -> list[int]:
    return seeds.baseline_seeds(config.evaluation.report_seeds)


def find(folder: Path, task: Task, config: Config) -> dict[str, Baseline]:
    """The baselines of ``task`` under these settings that were measured before, by reward."""
    about = origin(task, config)
    found = {name: read_baseline(folder, key(about, name)) for name in REWARDS}
    return {
        name: baseline
        for name, baseline in found.items()
        if baseline is not None and [training.seed for training in baseline.trainings] == sorted(training_seeds(config))
    }


@contextmanager
def alone(folder: Path, task: Task, config: Config) -> Iterator[None]:
    """Held by the one process that measures these baselines; others wait here, and find them afterwards."""
    lock = FileLock(folder / f".{key(origin(task, config), 'lock')[:16]}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()  # the system lets go of it when the process dies
    except OSError:  # where nothing can be kept, nothing can be shared either
        pass
    try:
        yield
    finally:
        lock.release()


def kept(folder: Path, task: Task, config: Config) -> dict[str, Baseline]:
    """What ``measure`` would not have to train: those baselines of ``task`` that were measured before, by reward."""
    return find(folder, task, resolve(config, task, arrangement=arrangement_of(config, task)).config)


def keep(
    folder: Path, task: Task, config: Config, name: str, trainings: Sequence[TrainingResult], evaluation: Evaluation
) -> None:
    """Keep a baseline for the runs to come. Where that fails nothing is lost but the time to measure it again."""
    if not math.isfinite(evaluation.mean):
        return
    baseline = Baseline(name, tuple(sorted(trainings, key=lambda training: training.seed)), evaluation)
    about = origin(task, config)
    try:
        write_baseline(folder, key(about, name), baseline, {**about, "reward": name})
    except StoreError:
        pass


def measure(
    folder: Path,
    task: Task,
    config: Config,
    *,
    anew: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Baseline]:
    """The expert's and the sparse reward's baselines of ``task``; those that are missing are trained now, and kept.

    Args:
        folder: where baselines are kept.
        config: ``training``, ``evaluation``, ``threads``, ``sim`` and ``device`` are used.
        anew: measure even what was measured before.
        on_progress: called with the environment steps of all trainings together.

    Raises:
        SimulationFailed: MuJoCo reported an error.
    """
    arrangement = arrangement_of(config, task)
    config = resolve(config, task, arrangement=arrangement).config
    with alone(folder, task, config):
        found = {} if anew else find(folder, task, config)
        missing = [name for name in REWARDS if name not in found]
        about = origin(task, config)
        saves = saving.of_baselines(folder, key(about, "training")[:16], about)
        trained = missing if not shared_reward(task) else missing[:1] if not found else []
        members = _members(task, config, trained)
        if members and saves.path(_members(task, config, REWARDS)).exists():
            # a process that trained both was killed when it had kept one of them: their training is only read
            trained, members = list(REWARDS), _members(task, config, REWARDS)
        results: list[TrainingResult] = []
        if members and config.training.trainer == "sb3":
            results = [train_sb3(task, member, config.training, threads=config.threads) for member in members]
        elif members:
            results = train(
                task,
                members,
                config.training,
                threads=config.threads,
                arrangement=arrangement,
                on_progress=on_progress,
                saves=saves,
            )
        for name in trained:
            mine = tuple(sorted((result for result in results if result.key == name), key=lambda result: result.seed))
            found[name] = Baseline(name, mine, evaluate_trainings(task, config, mine, seeds.baseline_episode_seed()))
        for name in missing:
            if name not in found:
                found[name] = named(name, next(iter(found.values())))
            keep(folder, task, config, name, found[name].trainings, found[name].evaluation)
        saves.delete()
    return {name: found[name] for name in REWARDS}


def _members(task: Task, config: Config, names: Sequence[str]) -> list[Member]:
    rewards = task_rewards(task)
    return [Member(name, seed, rewards[name]) for name in names for seed in training_seeds(config)]


def named(name: str, twin: Baseline) -> Baseline:
    """What ``twin`` came to, as that of the reward ``name``, which is the same function."""
    return Baseline(name, tuple(replace(each, key=name) for each in twin.trainings), twin.evaluation)


def evaluate_trainings(
    task: Task, config: Config, trainings: Sequence[TrainingResult], episode_seed: int
) -> Evaluation:
    """The score of trained policies on fresh episodes.

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


def key(about: Mapping[str, Any], name: str) -> str:
    """The name under which the baseline of the reward ``name`` is kept, by its ``origin``."""
    return hashlib.sha256(json.dumps({**about, "reward": name}, sort_keys=True).encode()).hexdigest()


def origin(task: Task, config: Config) -> dict[str, Any]:
    """All that a task's baselines follow from, as plain values, by resolved settings.

    It reads the task's file and writes out its compiled model: ask once for both rewards.
    """
    return {
        "task": task.name,
        "task_file": _digest([task.file if isinstance(task, EnvironmentTask) else Path(inspect.getfile(type(task)))]),
        "model": hashlib.sha256(_compiled(task.model)).hexdigest(),
        "training": config.training.model_dump(mode="json"),
        "evaluation": config.evaluation.model_dump(mode="json"),
        "sim": config.sim,
        "device": config.device,
        "versions": dict(versions()),
        "code": _code(),
        "machine": processor(),
    }


@cache
def _code() -> str:
    package = Path(rewardgen.__file__).parent
    return _digest([path for room in _ROOMS for path in sorted((package / room).glob("*.py"))])


def _digest(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _compiled(model: mujoco.MjModel | EnvironmentSpec) -> bytes:
    if isinstance(model, EnvironmentSpec):
        return repr(model).encode()
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()
