"""The baselines that this machine has measured, each kept under a digest of all that its numbers follow from."""

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
"""The rewards that every task brings along."""


def training_seeds(config: Config) -> list[int]:
    """Return the training seeds of each baseline."""
    return seeds.baseline_seeds(config.evaluation.report_seeds)


def find(folder: Path, task: Task, config: Config) -> dict[str, Baseline]:
    """Return the baselines of ``task`` that were measured before under these settings, by reward."""
    about = origin(task, config)
    found = {name: read_baseline(folder, key(about, name)) for name in REWARDS}
    return {
        name: baseline
        for name, baseline in found.items()
        if baseline is not None and [training.seed for training in baseline.trainings] == sorted(training_seeds(config))
    }


@contextmanager
def locked(folder: Path, task: Task, config: Config) -> Iterator[None]:
    """Let one process at a time measure these baselines; the others wait here, and find them afterwards."""
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


def keep(
    folder: Path, task: Task, config: Config, name: str, trainings: Sequence[TrainingResult], evaluation: Evaluation
) -> None:
    """Keep a baseline for later runs. Where it cannot be written, only the time to measure it again is lost."""
    if not math.isfinite(evaluation.mean):
        return
    baseline = Baseline(name, tuple(sorted(trainings, key=lambda training: training.seed)), evaluation)
    about = origin(task, config)
    try:
        write_baseline(folder, key(about, name), baseline, {**about, "reward": name})
    except StoreError:
        pass


def key(about: Mapping[str, Any], name: str) -> str:
    """Return the name of the file of the baseline of the reward ``name``, from its ``origin``."""
    return hashlib.sha256(json.dumps({**about, "reward": name}, sort_keys=True).encode()).hexdigest()
