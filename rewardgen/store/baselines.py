"""Scores of the expert's and the sparse reward, in files next to the runs: measured once, used by every run.

There is one folder per measurement, named by the hash of everything it depends on, with ``baseline.json`` and the
trained policies. A folder appears completely or not at all, so readers need no lock.
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
"""The folder of baselines, within the folder of runs."""
_FILE = "baseline.json"


@dataclass(frozen=True)
class Baseline:
    """The result of one of a task's own rewards: its trainings with their policies, and the score of these."""

    name: str
    trainings: tuple[TrainingResult, ...]
    evaluation: Evaluation


@dataclass(frozen=True)
class _File:
    """``baseline.json``. The weights of ``trainings`` are files, named in ``weights`` in the same order."""

    name: str
    about: dict[str, Any]
    created: str
    trainings: tuple[TrainingResult, ...]
    weights: tuple[str | None, ...]
    evaluation: Evaluation


def read_baseline(folder: Path, key: str) -> Baseline | None:
    """Read the baseline ``key`` under ``folder``; None if it is missing or damaged."""
    own_folder = folder / key
    try:
        with translated(own_folder):
            if not (own_folder / _FILE).is_file():
                return None
            file = from_json((own_folder / _FILE).read_text(encoding="utf-8"), _File)
        if len(file.weights) != len(file.trainings):
            return None
        trainings = tuple(
            replace(training, weights=read_artifact(own_folder, name) if name else None)
            for training, name in zip(file.trainings, file.weights, strict=True)
        )
    except (StoreError, UnicodeDecodeError):
        return None  # damaged: it will be measured again
    return Baseline(file.name, trainings, file.evaluation)


def write_baseline(folder: Path, key: str, baseline: Baseline, about: Mapping[str, Any]) -> None:
    """Store ``baseline`` under ``folder``, unless another process has stored it already.

    Args:
        about: what the measurement depends on, for people who read the file.

    Raises:
        StoreError: the files cannot be written.
    """
    own_folder = folder / key
    with translated(folder):
        if read_baseline(folder, key) is not None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{key[:12]}.", dir=folder))
        try:
            # Write everything into a folder with another name
            names = tuple(
                write_artifact(partial, training.weights, ".safetensors") if training.weights is not None else None
                for training in baseline.trainings
            )
            without_weights = tuple(replace(training, weights=None) for training in baseline.trainings)
            file = _File(baseline.name, dict(about), now(), without_weights, names, baseline.evaluation)
            files.write_text(partial / _FILE, to_json(file, _File))
            if own_folder.exists():  # damaged, or it would have been read above
                shutil.rmtree(own_folder)
            # Publish it with one rename; if another process was faster, theirs is as good
            try:
                partial.replace(own_folder)
            except OSError:
                if read_baseline(folder, key) is None:
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
