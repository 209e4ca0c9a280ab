"""Reads a run's database as a ``RunView``: of a finished run, a broken one, or one that is being written."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rewardgen.errors import UnknownName, UsageError
from rewardgen.records import Evaluation, Forecast, Message, Problem, Reply, TrainingResult, Verdict
from rewardgen.store.database import FILE_NAME, connect, from_json, to_json, translated
from rewardgen.store.judgements import Judgements
from rewardgen.store.rows import reply_of, training_of
from rewardgen.store.view import (
    AttemptView,
    CallView,
    CandidateView,
    Change,
    CostView,
    EventView,
    FinalView,
    GenerationView,
    Growth,
    RunView,
    Waiting,
)
from rewardgen.store.writer import LOCK_NAME

FINALS = ("winner", "expert", "sparse")
"""The rewards whose scores are reported."""
SWEEP_FILE = "sweep.json"
"""The file that makes a folder a sweep; it lists its searches."""
AGAIN = "/again"
"""Appended to a candidate's key, it owns the trainings on fresh seeds."""


def find_run(name: str, runs_dir: Path = Path("runs")) -> Path:
    """Return the directory of a run, given by its path or by its name under ``runs_dir``; "latest" is the newest.

    Raises:
        UnknownName: there is none; the message names similar ones.
        UsageError: it is a sweep, not a run.
    """
    for path in (Path(name), runs_dir / name):
        if (path / FILE_NAME).is_file():
            return path
    # Say why a folder that exists is not a run
    if (sweep := find_sweep(name, runs_dir)) is not None:
        raise UsageError(f"{sweep} is a sweep; name one of its runs: `rewardgen show {sweep}` lists them")
    if (folder := next((path for path in (Path(name), runs_dir / name) if path.is_dir()), None)) is not None:
        raise UsageError(f"{folder} is not a run: it has no {FILE_NAME}; name the folder of a run")
    # Names under ``runs_dir``, for "latest" and for the message
    runs = sorted(runs_dir.glob(f"*/{FILE_NAME}"), key=lambda file: file.stat().st_mtime)
    if name == "latest" and runs:
        return runs[-1].parent
    hint = f"(looked in {runs_dir}; use --out DIR for another folder)"
    raise UnknownName("run", name, [file.parent.name for file in runs], hint=hint)


def find_sweep(name: str, runs_dir: Path = Path("runs")) -> Path | None:
    """Return the folder of a sweep, given by its path or by its name under ``runs_dir``; None if there is none."""
    return next((path for path in (Path(name), runs_dir / name) if (path / SWEEP_FILE).is_file()), None)


def read(run_dir: Path) -> RunView:
    """Read everything that the store of ``run_dir`` holds.

    Raises:
        StoreError, StoreVersion: see ``database.connect``.
    """
    connection = connect(run_dir, write=False)
    try:
        with translated(run_dir):
            connection.execute("BEGIN")  # one snapshot, whatever a process writes meanwhile
            return _view(connection, run_dir)
    finally:
        connection.close()


def _view(connection: sqlite3.Connection, run_dir: Path) -> RunView:
    """Read the run in the order in which its parts refer to each other."""
    meta = {row["key"]: from_json(row["value"], object) for row in connection.execute("SELECT * FROM meta")}
    # Calls, trainings and generations
    replies = _replies(connection)
    trainings = _trainings(connection)
    calls = _calls(connection, replies)
    generations = _generations(connection, replies, trainings)
    # Reported scores; trainings may be there before their evaluation
    evaluations = {
        row["name"]: from_json(row["evaluation"], Evaluation) for row in connection.execute("SELECT * FROM evaluations")
    }
    finals = tuple(
        FinalView(name, trainings[f"final/{name}"], evaluations.get(name))
        for name in FINALS
        if trainings[f"final/{name}"] or name in evaluations
    )
    # Events, judgements and the status
    events = tuple(
        EventView(row["time"], row["kind"], from_json(row["data"], dict))
        for row in connection.execute("SELECT * FROM events ORDER BY id")
    )
    judged = Judgements(run_dir)
    status = held_status(run_dir, str(meta.get("status", "interrupted")))
    return RunView(
        name=run_dir.resolve().name,
        path=run_dir,
        status=status,  # type: ignore[arg-type]
        message=str(meta.get("message", "")),
        config=_mapping(meta.get("config")),
        task=_mapping(meta.get("task")),
        author=str(meta.get("author", "")),
        versions=_mapping(meta.get("versions")),
        created=str(meta.get("created", "")),
        generations=generations,
        calls=calls,
        finals=finals,
        winner=meta.get("winner"),  # type: ignore[arg-type]
        cost=_cost(calls, trainings, float(str(meta.get("seconds", 0.0)))),
        events=events,
        envs=tuple(Path(folder) for folder in _list(meta.get("envs"))),
        judgements=judged.judgements(),
        orders=judged.orders(),
        remarks=judged.remarks(),
        waiting=_waiting(meta.get("waiting")) if status == "running" else None,
        form=_mapping(meta.get("method")).get("form", "reward"),
        given=_mapping(meta.get("given")),
        changes=_changes(meta.get("changes")),
        grown=from_json(to_json(meta.get("grown") or []), tuple[Growth, ...]),
        asking=tuple(Path(name) for name in _list(meta.get("asking"))) if status == "running" else (),
    )


def _changes(value: object) -> tuple[Change, ...]:
    """Return stored changes of settings, validated."""
    return () if value is None else from_json(to_json(value), tuple[Change, ...])


def _waiting(value: object) -> Waiting | None:
    """Return what a search waits for, validated."""
    return None if value is None else from_json(to_json(value), Waiting)


def _list(value: object) -> list[str]:
    """Return a stored list of texts; empty if it is something else."""
    return [str(item) for item in value] if isinstance(value, list) else []


def _mapping(value: object) -> dict[str, Any]:
    """Return a stored mapping; empty if it is something else."""
    return dict(value) if isinstance(value, dict) else {}


def held_status(run_dir: Path, status: str) -> str:
    """Return the stored ``status``; "interrupted" for a run that was running and whose process has died."""
    return "interrupted" if status == "running" and not held(run_dir) else status


def held(run_dir: Path) -> bool:
    """Return whether a running process holds a run."""
    # The lock of a dead process is free
    lock = FileLock(run_dir / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a read-only copy of a run, which nobody can be writing
        return False
    lock.release()
    return False


def _replies(connection: sqlite3.Connection) -> dict[str, dict[int, Reply]]:
    """Read call → number → reply."""
    by_key: dict[str, dict[int, Reply]] = defaultdict(dict)
    for row in connection.execute("SELECT * FROM replies ORDER BY call, number"):
        by_key[row["call"]][row["number"]] = reply_of(row)
    return by_key


def _calls(connection: sqlite3.Connection, replies: dict[str, dict[int, Reply]]) -> tuple[CallView, ...]:
    """Read the calls in the order in which they were made."""
    return tuple(
        CallView(
            key=row["key"],
            purpose=row["purpose"],
            messages=tuple(from_json(row["messages"], list[Message])),
            replies=tuple(replies[row["key"]].values()),
            error=row["error"],
            started=row["started"],
        )
        for row in connection.execute("SELECT * FROM calls ORDER BY rowid")
    )


def _trainings(connection: sqlite3.Connection) -> dict[str, tuple[TrainingResult, ...]]:
    """Read owner → its trainings by seed, without weights."""
    by_key: dict[str, tuple[TrainingResult, ...]] = defaultdict(tuple)
    # Owners are candidates, candidates measured again, and reported rewards
    for row in connection.execute("SELECT * FROM trainings ORDER BY owner, seed"):
        by_key[row["owner"]] += (training_of(row),)
    return by_key


def _generations(
    connection: sqlite3.Connection,
    replies: dict[str, dict[int, Reply]],
    trainings: dict[str, tuple[TrainingResult, ...]],
) -> tuple[GenerationView, ...]:
    """Read the generations with their candidates."""
    # Attempts refer to replies
    attempts: dict[str, tuple[AttemptView, ...]] = defaultdict(tuple)
    for row in connection.execute("SELECT * FROM attempts ORDER BY candidate, number"):
        reply = replies[row["call"]].get(row["reply"]) or Reply(text="", model="")
        problems = tuple(from_json(row["problems"], list[Problem]))
        attempts[row["candidate"]] += (AttemptView(row["number"], reply, row["source"], problems, row["output"]),)
    # Candidates refer to attempts, trainings and forecasts
    forecasts = _forecasts(connection)
    candidates: dict[tuple[int, int], tuple[CandidateView, ...]] = defaultdict(tuple)
    for row in connection.execute("SELECT * FROM candidates ORDER BY restart, generation, number"):
        candidates[row["restart"], row["generation"]] += (
            CandidateView(
                key=row["key"],
                parent=row["parent"],
                status=row["status"],
                attempts=attempts[row["key"]],
                source=row["source"],
                trainings=trainings[row["key"]],
                score=row["score"],
                reflection=row["reflection"],
                selected=bool(row["selected"]),
                low=row["low"] if "low" in row.keys() else None,  # noqa: SIM118  (a row is not a mapping)
                high=row["high"] if "high" in row.keys() else None,  # noqa: SIM118
                again=trainings.get(f"{row['key']}{AGAIN}", ()),
                forecast=forecasts.get(row["key"]),
            ),
        )
    # Generations refer to candidates and judgements
    verdicts = _verdicts(connection)
    return tuple(
        GenerationView(
            restart=row["restart"],
            index=row["number"],
            messages=tuple(from_json(row["messages"], list[Message])),
            candidates=candidates[row["restart"], row["number"]],
            finished=bool(row["finished"]),
            verdict=verdicts.get((row["restart"], row["number"])),
        )
        for row in connection.execute("SELECT * FROM generations ORDER BY restart, number")
    )


def _forecasts(connection: sqlite3.Connection) -> dict[str, Forecast]:
    """Read candidate → its forecast; a store of the first version has none."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'forecasts'").fetchone():
        return {}
    rows = connection.execute("SELECT * FROM forecasts")
    return {row["candidate"]: from_json(row["forecast"], Forecast) for row in rows}


def _verdicts(connection: sqlite3.Connection) -> dict[tuple[int, int], Verdict]:
    """Read (restart, generation) → its judgements; a store of the first two versions has none."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'verdicts'").fetchone():
        return {}
    rows = connection.execute("SELECT * FROM verdicts")
    return {(row["restart"], row["number"]): from_json(row["verdict"], Verdict) for row in rows}


def _cost(calls: tuple[CallView, ...], trainings: dict[str, tuple[TrainingResult, ...]], seconds: float) -> CostView:
    """Add up what the run has cost; replies from the cache cost nothing."""
    # Only answered calls cost anything, and only replies that did not come from the cache
    answered = [call for call in calls if not call.error]
    paid = [reply for call in answered for reply in call.replies if not reply.cached]
    results = [result for of_owner in trainings.values() for result in of_owner]
    return CostView(
        calls=len(answered),
        cached_calls=sum(bool(call.replies) and all(reply.cached for reply in call.replies) for call in answered),
        prompt_tokens=sum(reply.prompt_tokens for reply in paid),
        completion_tokens=sum(reply.completion_tokens for reply in paid),
        dollars=sum(reply.dollars for reply in paid),
        steps=sum(result.steps for result in results),
        training_seconds=sum(result.seconds for result in results),
        seconds=seconds,
        estimated=any(reply.estimated for reply in paid),
    )
