"""The little that a list of runs shows of each, without reading the whole of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rewardgen.records import Evaluation
from rewardgen.store.database import connect, from_json, translated
from rewardgen.store.reader import held_status


@dataclass(frozen=True)
class Glance:
    """A run in a line. ``best`` is its highest selection score, ``reported`` what its winner is reported with.

    ``generations`` counts those that are finished, ``wanted`` those that were asked for (0: unknown).
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
    reported: Evaluation | None


def glance(run_dir: Path) -> Glance:
    """Look at the run in ``run_dir``.

    Raises:
        StoreError, StoreVersion: see ``database.connect``.
    """
    connection = connect(run_dir, write=False)
    try:
        with translated(run_dir):
            connection.execute("BEGIN")
            meta = {row["key"]: from_json(row["value"], object) for row in connection.execute("SELECT * FROM meta")}
            finished = connection.execute("SELECT COUNT(*) FROM generations WHERE finished").fetchone()[0]
            count, best = connection.execute("SELECT COUNT(*), MAX(score) FROM candidates").fetchone()
            row = connection.execute("SELECT evaluation FROM evaluations WHERE name = 'winner'").fetchone()
    finally:
        connection.close()
    task, config = meta.get("task"), meta.get("config")
    task = task if isinstance(task, dict) else {}
    search = config.get("search") if isinstance(config, dict) else None
    search = search if isinstance(search, dict) else {}
    wanted = search.get("generations", 0), search.get("restarts", 1)
    return Glance(
        path=run_dir,
        status=held_status(run_dir, str(meta.get("status", "interrupted"))),
        message=str(meta.get("message", "")),
        task=str(task.get("name", "")),
        unit=str(task.get("fitness_unit", "")),
        author=str(meta.get("author", "")),
        created=str(meta.get("created", "")),
        generations=finished,
        wanted=wanted[0] * wanted[1] if all(isinstance(value, int) for value in wanted) else 0,
        candidates=count,
        best=best,
        reported=from_json(row["evaluation"], Evaluation) if row is not None else None,
    )
