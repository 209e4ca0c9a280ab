"""The progress of a training, for other processes that watch it: a small file next to the database.

Nothing is decided by it and nothing is lost with it, so it is not part of the store's content.
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
"""Seconds after which the file is ignored."""


@dataclass(frozen=True)
class TrainingStatus:
    """``steps`` of ``total`` of all trainings that run together; ``what`` as in the search's events."""

    what: str
    steps: int
    total: int
    steps_per_second: float
    written: str

    @property
    def seconds_left(self) -> float:
        """Estimated seconds left; 0 without a speed."""
        return max(0, self.total - self.steps) / self.steps_per_second if self.steps_per_second > 0 else 0.0


def write_progress(run_dir: Path, what: str, steps: int, total: int, steps_per_second: float) -> None:
    """Write the progress of a training; if the file cannot be written, the training goes on without it."""
    status = TrainingStatus(what, steps, total, steps_per_second, datetime.now(UTC).isoformat())
    try:
        files.write_text(run_dir / _FILE, json.dumps(asdict(status)))
    except OSError:
        pass


def read_progress(run_dir: Path) -> TrainingStatus | None:
    """Read the latest progress; None if there is none, if it is old, or if the file is damaged."""
    try:
        status = TypeAdapter(TrainingStatus).validate_json((run_dir / _FILE).read_bytes())
        # Files of a killed process are old
        age = (datetime.now(UTC) - datetime.fromisoformat(status.written)).total_seconds()
    except (OSError, ValidationError, ValueError, TypeError):
        return None
    # A training that is over has nothing left to report
    return status if age < _STALE and 0 <= status.steps < status.total else None
