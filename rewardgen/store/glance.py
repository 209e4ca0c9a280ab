"""A summary of a run for lists of runs, read without loading the whole run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rewardgen.records import Evaluation
from rewardgen.store.database import connect, from_json, translated
from rewardgen.store.reader import held_status


@dataclass(frozen=True)
class Glance:
    """A run in one line. ``best`` is its highest selection score; ``evaluations`` are the reported scores by name.

    ``waiting``: it waits for judgements; ``asking``: it waits for answers to dialog requests. ``judge`` is
    ``search.judge``; ``threshold`` is the task's, for success.

    ``generations`` counts finished ones, ``wanted`` is how many were requested (0: unknown).
    """

    path: Path
    status: str
    message: str
    task: str
    unit: str
    author: str
    created: str
    generations: int
    wanted: int
    candidates: int
    best: float | None
    winner: str | None = None
    waiting: bool = False
    asking: bool = False
    judge: str = "fitness"
    threshold: float | None = None
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)

    @property
    def reported(self) -> Evaluation | None:
        """The winner's reported score."""
        return self.evaluations.get("winner")


def glance(run_dir: Path) -> Glance:
    """Read the summary of the run in ``run_dir``.

    Raises:
        StoreError, StoreVersion: see ``database.connect``.
    """
    connection = connect(run_dir, write=False)
    try:
        with translated(run_dir):
            # Read counts and few values, in one snapshot
            connection.execute("BEGIN")
            meta = {row["key"]: from_json(row["value"], object) for row in connection.execute("SELECT * FROM meta")}
            finished = connection.execute("SELECT COUNT(*) FROM generations WHERE finished").fetchone()[0]
            count, best = connection.execute("SELECT COUNT(*), MAX(score) FROM candidates").fetchone()
            evaluations = {
                row["name"]: from_json(row["evaluation"], Evaluation)
                for row in connection.execute("SELECT * FROM evaluations")
            }
    finally:
        connection.close()
    # The stored values may have been edited: accept only what has the right type
    task, config = meta.get("task"), meta.get("config")
    task = task if isinstance(task, dict) else {}
    search = config.get("search") if isinstance(config, dict) else None
    search = search if isinstance(search, dict) else {}
    wanted = search.get("generations", 0), search.get("restarts", 1)
    # The lock tells whether a run that says it is running still is
    status = held_status(run_dir, str(meta.get("status", "interrupted")))
    winner, threshold = meta.get("winner"), task.get("success_threshold")
    return Glance(
        path=run_dir,
        status=status,
        message=str(meta.get("message", "")),
        task=str(task.get("name", "")),
        unit=str(task.get("fitness_unit", "")),
        author=str(meta.get("author", "")),
        created=str(meta.get("created", "")),
        generations=finished,
        wanted=wanted[0] * wanted[1] if all(isinstance(value, int) for value in wanted) else 0,
        candidates=count,
        best=best,
        winner=str(winner) if winner is not None else None,
        waiting=status == "running" and meta.get("waiting") is not None,
        asking=status == "running" and bool(meta.get("asking")),
        judge=str(search.get("judge", "fitness")),
        threshold=float(threshold) if isinstance(threshold, int | float) and math.isfinite(threshold) else None,
        evaluations=evaluations,
    )
