"""Where the state of trainings in progress is kept: in a hidden folder of a run, or beside the baselines.

The files of one training are deleted once its results are kept. What is left of others (a process was killed between
the two, or nobody continued) is removed when the next training begins.
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
"""After which the state of a baseline that nobody continued is removed."""


def for_run(run_dir: Path, task: Task, config: Config, form: Form) -> MakeSaves:
    """Return what makes the files of a run's trainings, valid while nothing that their results follow from changes."""

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
    """Return the files of a run's next training; a run has one training at a time, so all others are removed."""
    folder = run_dir / IN_RUN / digest([[member.key, member.seed] for member in members])
    for other in _folders(run_dir / IN_RUN, ""):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return Saves(folder, about, companion)


def remove(run_dir: Path) -> None:
    """Remove what a run's trainings have left behind."""
    shutil.rmtree(run_dir / IN_RUN, ignore_errors=True)


def of_baselines(folder: Path, name: str, about: Mapping[str, Any]) -> Saves:
    """Return the files of a training of baselines that are kept in ``folder`` under ``name``."""
    for old in _folders(folder, _BASELINES):
        if time.time() - _last_change(old) > _LONGEST_DAYS * 86400:
            shutil.rmtree(old, ignore_errors=True)
    return Saves(folder / f"{_BASELINES}{name}", about)


def _folders(place: Path, prefix: str) -> list[Path]:
    return [path for path in place.glob(f"{prefix}*") if path.is_dir()]


def _last_change(folder: Path) -> float:
    """When the folder or a file in it was last written, in seconds since the epoch."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:  # another process has just removed it
        return time.time()
