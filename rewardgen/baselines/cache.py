"""Cache of measured baselines, stored under a digest of everything that determines their results."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from rewardgen import seeds
from rewardgen.config import Config
from rewardgen.errors import StoreError
from rewardgen.records import Evaluation, TrainingResult
from rewardgen.store import Baseline, read_baseline, write_baseline
from rewardgen.tasks import Task
from rewardgen.training.provenance import origin

REWARDS = ("expert", "sparse")
"""The rewards that every task defines."""


def training_seeds(config: Config) -> list[int]:
    """Return the training seeds of each baseline."""
    return seeds.baseline_seeds(config.evaluation.report_seeds)


def find(folder: Path, task: Task, config: Config) -> dict[str, Baseline]:
    """Return the cached baselines of ``task`` under these settings, by name of the reward.

    A baseline counts only if it has exactly the training seeds of ``config``; others are left out.
    """
    about = origin(task, config)
    found = {name: read_baseline(folder, key(about, name)) for name in REWARDS}
    return {
        name: baseline
        for name, baseline in found.items()
        if baseline is not None and [training.seed for training in baseline.trainings] == sorted(training_seeds(config))
    }


@contextmanager
def locked(folder: Path, task: Task, config: Config) -> Iterator[None]:
    """Hold a file lock, so that one process measures these baselines while others wait and then find them cached.

    If the folder is not writable, there is no lock, because nothing can be cached either.
    """
    lock = FileLock(folder / f".{key(origin(task, config), 'lock')[:16]}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()  # the operating system releases it if the process dies
    except OSError:  # not writable
        pass
    try:
        yield
    finally:
        lock.release()


def keep(
    folder: Path, task: Task, config: Config, name: str, trainings: Sequence[TrainingResult], evaluation: Evaluation
) -> None:
    """Store a baseline for later runs. Write errors are ignored: they cost only the time to measure it again.

    A baseline whose mean fitness is not finite (a training failed) is not stored.
    """
    if not math.isfinite(evaluation.mean):
        return
    baseline = Baseline(name, tuple(sorted(trainings, key=lambda training: training.seed)), evaluation)
    about = origin(task, config)
    try:
        write_baseline(folder, key(about, name), baseline, {**about, "reward": name})
    except StoreError:
        pass


def key(about: Mapping[str, Any], name: str) -> str:
    """Return the file name of the baseline of the reward ``name``: a SHA-256 digest of it and of its ``origin``."""
    return hashlib.sha256(json.dumps({**about, "reward": name}, sort_keys=True).encode()).hexdigest()
