"""How far a training is, for those who watch from another process: a small file beside the database, soon stale.

Nothing is decided by it and nothing lost with it, so it is no part of the store's content.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from rewardgen import files

_FILE = "progress.json"
_STALE = 120.0
"""Seconds after which nobody is told of it any more."""


@dataclass(frozen=True)
class TrainingStatus:
    """``steps`` of ``total`` of all trainings that go on together; ``what`` as in the search's events."""

    what: str
    steps: int
    total: int
    steps_per_second: float
    written: str

    @property
    def seconds_left(self) -> float:
        return max(0, self.total - self.steps) / self.steps_per_second if self.steps_per_second > 0 else 0.0


def write_progress(run_dir: Path, what: str, steps: int, total: int, steps_per_second: float) -> None:
    """Say how far a training is; where the file cannot be written, nobody is told."""
    told = TrainingStatus(what, steps, total, steps_per_second, datetime.now(UTC).isoformat())
    try:
        files.write_text(run_dir / _FILE, json.dumps(asdict(told)))
    except OSError:
        pass


def read_progress(run_dir: Path) -> TrainingStatus | None:
    """What was said last; None where that is nothing, long ago, or not to be made out."""
    try:
        told = TypeAdapter(TrainingStatus).validate_json((run_dir / _FILE).read_bytes())
        age = (datetime.now(UTC) - datetime.fromisoformat(told.written)).total_seconds()
    except (OSError, ValidationError, ValueError, TypeError):
        return None
    return told if age < _STALE and 0 <= told.steps < told.total else None
