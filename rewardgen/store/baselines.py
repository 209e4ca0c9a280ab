"""What the expert's and the sparse reward reach, kept in files beside the runs: measured once, used by every run.

One folder for each measurement, named by the hash of all that it follows from, with ``baseline.json`` and the trained
policies in it. A folder appears whole or not at all, so readers need no lock.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rewardgen import files
from rewardgen.errors import StoreError
from rewardgen.records import Evaluation, TrainingResult
from rewardgen.store.artifacts import read_artifact, write_artifact
from rewardgen.store.database import from_json, now, to_json, translated

FOLDER = ".baselines"
"""The folder of baselines, in the folder that holds the runs."""
_FILE = "baseline.json"


@dataclass(frozen=True)
class Baseline:
    """What one of a task's own rewards came to: its trainings, with their policies, and the score of those."""

    name: str
    trainings: tuple[TrainingResult, ...]
    evaluation: Evaluation


@dataclass(frozen=True)
class _File:
    """``baseline.json``. The weights of ``trainings`` stand in files, named in ``weights`` in the same order."""

    name: str
    about: dict[str, Any]
    created: str
    trainings: tuple[TrainingResult, ...]
    weights: tuple[str | None, ...]
    evaluation: Evaluation


def read_baseline(folder: Path, key: str) -> Baseline | None:
    """The baseline ``key`` under ``folder``; None where there is none that can be trusted whole."""
    place = folder / key
    try:
        with translated(place):
            if not (place / _FILE).is_file():
                return None
            file = from_json((place / _FILE).read_text(encoding="utf-8"), _File)
        if len(file.weights) != len(file.trainings):
            return None
        trainings = tuple(
            replace(training, weights=read_artifact(place, name) if name else None)
            for training, name in zip(file.trainings, file.weights, strict=True)
        )
    except (StoreError, UnicodeDecodeError):
        return None  # it is measured again
    return Baseline(file.name, trainings, file.evaluation)


def write_baseline(folder: Path, key: str, baseline: Baseline, about: Mapping[str, Any]) -> None:
    """Keep ``baseline`` under ``folder``; one that is there already, another process's, stays.

    Args:
        about: what the measurement follows from, for those who look into the file.

    Raises:
        StoreError: the files cannot be written.
    """
    place = folder / key
    with translated(folder):
        if read_baseline(folder, key) is not None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{key[:12]}.", dir=folder))
        try:
            names = tuple(
                write_artifact(partial, training.weights, ".safetensors") if training.weights is not None else None
                for training in baseline.trainings
            )
            bare = tuple(replace(training, weights=None) for training in baseline.trainings)
            file = _File(baseline.name, dict(about), now(), bare, names, baseline.evaluation)
            files.write_text(partial / _FILE, to_json(file, _File))
            if place.exists():  # a broken one: it would have been read above
                shutil.rmtree(place)
            try:
                partial.replace(place)
            except OSError:
                if read_baseline(folder, key) is None:
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
