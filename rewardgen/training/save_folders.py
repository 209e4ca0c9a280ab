"""Folders for the state of trainings in progress: a hidden folder of the run, or one beside the baselines.

The files of a training are deleted once its results are stored. Leftovers of other trainings (the process was killed
before the deletion, or the training was never resumed) are removed when the next training starts.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rewardgen.config import Config
from rewardgen.records import Form
from rewardgen.saved import Resumable
from rewardgen.tasks import Task
from rewardgen.training.interface import MakeSaves
from rewardgen.training.labelling import Member
from rewardgen.training.provenance import origin
from rewardgen.training.saves import Saves, digest

IN_RUN = ".training"
"""The folder of a run that holds the state of its training in progress."""
_BASELINES = ".training-"
_LONGEST_DAYS = 30.0
"""Age at which the state of a baseline training that was not resumed is removed."""


def for_run(run_dir: Path, task: Task, config: Config, form: Form) -> MakeSaves:
    """Return the factory for the files of a run's trainings.

    A file is used only if everything that determines the results (see ``provenance``) is unchanged.
    """

    def make(members: Sequence[Member], sources: Mapping[str, str], companion: Resumable | None) -> Saves:
        about = {
            **origin(task, config),
            "rewards": {member.key: sources.get(member.key, "") for member in members},
            "form": form,
            "credit": config.credit.model_dump(mode="json"),
        }
        return in_run(run_dir, members, about, companion)

    return make


def in_run(
    run_dir: Path, members: Sequence[Member], about: Mapping[str, Any], companion: Resumable | None = None
) -> Saves:
    """Return the files of a run's next training and delete those of other trainings, as a run has one at a time.

    Args:
        about: as in ``Saves``.
    """
    folder = run_dir / IN_RUN / digest([[member.key, member.seed] for member in members])
    for other in _folders(run_dir / IN_RUN, ""):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return Saves(folder, about, companion)


def remove(run_dir: Path) -> None:
    """Delete all saved training state of a run."""
    shutil.rmtree(run_dir / IN_RUN, ignore_errors=True)


def of_baselines(folder: Path, name: str, about: Mapping[str, Any]) -> Saves:
    """Return the files of a training of baselines, in ``folder`` under ``name``, and delete outdated ones there."""
    for old in _folders(folder, _BASELINES):
        if time.time() - _last_change(old) > _LONGEST_DAYS * 86400:
            shutil.rmtree(old, ignore_errors=True)
    return Saves(folder / f"{_BASELINES}{name}", about)


def _folders(place: Path, prefix: str) -> list[Path]:
    return [path for path in place.glob(f"{prefix}*") if path.is_dir()]


def _last_change(folder: Path) -> float:
    """Return the time of the last change of the folder or a file in it, in seconds since the epoch."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:  # another process has just deleted it
        return time.time()
