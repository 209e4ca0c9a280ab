"""Curves on disk: one JSON file per training, so that an interrupted benchmark continues where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from rewardgen import files
from rewardgen.config import TrainingConfig
from rewardgen.errors import UsageError

Record = TypeVar("Record")


def folder_name(task: str) -> str:
    """Return a task's name as that of a folder."""
    return task.replace("/", "-")


def settings_of(config: TrainingConfig) -> dict[str, Any]:
    """Return what a curve of the population trainer depends on besides its task, reward and seed."""
    return config.model_dump(mode="json", exclude={"trainer"})


def mark_of(config: TrainingConfig) -> str:
    """Return eight digits for the settings, so that a comparison of two settings keeps the curves of both.

    Only differences from the defaults count, so that a new setting does not invalidate all stored curves.
    """
    # Stable across versions as long as the changed settings are
    changed = config.model_dump(mode="json", exclude={"trainer"}, exclude_defaults=True)
    return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:8]


def same_settings(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether a curve was made with all of the settings ``wanted``; a missing one counts as different."""
    return all(name in stored and stored[name] == value for name, value in wanted.items())


def read_record(path: Path, kind: type[Record]) -> Record | None:
    """Return the record in ``path``; None if there is no such file.

    Raises:
        UsageError: the file holds something else.
    """
    if not path.exists():
        return None
    try:
        return TypeAdapter(kind).validate_python(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UsageError(f"{path} is not a curve ({error}); delete it to train it again") from error


def write_record(path: Path, record: Any) -> None:
    """Write a dataclass to ``path``, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, json.dumps(asdict(record)) + "\n")
