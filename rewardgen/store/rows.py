"""Turns database rows into records."""

from __future__ import annotations

import sqlite3

from rewardgen.records import Checkpoint, Reply, TrainingResult
from rewardgen.store.database import from_json


def reply_of(row: sqlite3.Row) -> Reply:
    """Return a row of ``replies`` as a record."""
    return Reply(
        text=row["text"],
        model=row["model"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        dollars=row["dollars"],
        seconds=row["seconds"],
        # SQLite has no booleans
        cached=bool(row["cached"]),
        estimated=bool(row["estimated"]),
        finish_reason=row["finish_reason"],
    )


def training_of(row: sqlite3.Row, weights: bytes | None = None) -> TrainingResult:
    """Return a row of ``trainings`` as a record, with the given weights."""
    return TrainingResult(
        key=row["owner"],
        seed=row["seed"],
        status=row["status"],
        message=row["message"],
        curve=tuple(from_json(row["curve"], list[Checkpoint])),
        weights=weights,
        steps=row["steps"],
        seconds=row["seconds"],
    )
