"""Curves on disk: one JSON file for each training, so that a benchmark that was cut off goes on where it stopped."""

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
    """A task's name as that of a folder."""
    return task.replace("/", "-")


def settings_of(config: TrainingConfig) -> dict[str, Any]:
    """What a curve of the population trainer depends on besides its task, reward and seed."""
    return config.model_dump(mode="json", exclude={"trainer"})


def mark_of(config: TrainingConfig) -> str:
    """Eight digits for the settings, so that a comparison of two settings keeps the curves of both.

    Only what differs from the defaults counts: a setting that is new does not put all stored curves out of reach.
    """
    changed = config.model_dump(mode="json", exclude={"trainer"}, exclude_defaults=True)
    return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:8]


def same_settings(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a curve was made with all of the settings ``wanted``. One that did not exist then is another setting."""
    return all(name in stored and stored[name] == value for name, value in wanted.items())


def read_record(path: Path, kind: type[Record]) -> Record | None:
    """The record in ``path``, None if there is no such file.

    Raises:
        UsageError: the file holds no such record.
    """
    if not path.exists():
        return None
    try:
        return TypeAdapter(kind).validate_python(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UsageError(f"{path} holds no curve ({error}); delete it and it is trained again") from error


def write_record(path: Path, record: Any) -> None:
    """Write a dataclass to ``path``, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, json.dumps(asdict(record)) + "\n")
