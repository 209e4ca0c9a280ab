"""People's judgements of a run's replays, in a file next to ``run.sqlite`` that any process may write.

The search holds ``run.sqlite`` alone while it works; people answer meanwhile, several at once, from the pages or a
terminal. Rows are never changed, except for the mark that their author has undone them.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from rewardgen.errors import StoreError, StoreVersion, UsageError
from rewardgen.records import Judgement, Order, Remark
from rewardgen.store.database import translated

JUDGEMENTS_FILE = "judgements.sqlite"
MAX_WORDS = 4000
"""Max. length of a comment, in characters."""
_VERSION = 1
_SCHEMA = """
CREATE TABLE judgements (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, "left" TEXT NOT NULL, "right" TEXT NOT NULL,
    answer TEXT NOT NULL, words TEXT NOT NULL, judge TEXT NOT NULL, kind TEXT NOT NULL, created TEXT NOT NULL,
    seconds REAL NOT NULL, undone INTEGER NOT NULL);
CREATE TABLE orders (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, restart INTEGER NOT NULL, generation INTEGER NOT NULL,
    candidates TEXT NOT NULL, words TEXT NOT NULL, judge TEXT NOT NULL, kind TEXT NOT NULL, created TEXT NOT NULL,
    seconds REAL NOT NULL, undone INTEGER NOT NULL);
CREATE TABLE remarks (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, replay TEXT NOT NULL, words TEXT NOT NULL,
    judge TEXT NOT NULL, kind TEXT NOT NULL, created TEXT NOT NULL, undone INTEGER NOT NULL);
"""
_TABLES: dict[type, str] = {Judgement: "judgements", Order: "orders", Remark: "remarks"}
# The forms of ids and names; whatever has another form is rejected
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_CANDIDATE = re.compile(r"r\d{1,4}g\d{1,4}c\d{1,4}")
_REPLAY = re.compile(rf"{_CANDIDATE.pattern}\.\d{{1,3}}")
_JUDGE = re.compile(r"[^\x00-\x1f\x7f]{1,80}")

Kind = TypeVar("Kind", Judgement, Order, Remark)


class Judgements:
    """The judgements of the run in ``run_dir``. Every call opens the file, so any thread and process may call.

    The file is created by the first call that writes.
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self._path = run_dir / JUDGEMENTS_FILE

    def add(self, record: Judgement | Order | Remark) -> bool:
        """Store a judgement, ranking or remark. Return False if one with its ``id`` is stored already; that one stays.

        Raises:
            UsageError: a replay or candidate has an invalid name, the words are too long, or the judge has no name.
            StoreError: the file cannot be written.
        """
        _check(record)
        # The record's fields are the columns
        values = {**asdict(record), "undone": int(record.undone)}
        if isinstance(record, Order):
            values["candidates"] = json.dumps(record.candidates)
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" for _ in values)
        with self._connection(write=True) as connection:
            assert connection is not None
            inserted = connection.execute(
                f"INSERT OR IGNORE INTO {_TABLES[type(record)]} ({names}) VALUES ({marks})", tuple(values.values())
            )
            return inserted.rowcount == 1

    def undo(self, key: str, judge: str) -> bool:
        """Undo the judgement, ranking or remark with that ``id``. Return False if this judge has none."""
        if not self._path.is_file():
            return False
        with self._connection(write=True) as connection:
            assert connection is not None
            # An id is unique over all kinds of records
            counts = [
                connection.execute(
                    f"UPDATE {table} SET undone = 1 WHERE id = ? AND judge = ? AND undone = 0", (key, judge)
                ).rowcount
                for table in _TABLES.values()
            ]
            return any(counts)

    def judgements(self) -> tuple[Judgement, ...]:
        """Return all judgements that were not undone, in order."""
        return self._all(Judgement)

    def orders(self) -> tuple[Order, ...]:
        """Return all rankings that were not undone, in order."""
        return self._all(Order)

    def remarks(self) -> tuple[Remark, ...]:
        """Return all remarks that were not undone, in order."""
        return self._all(Remark)

    def mark(self) -> int:
        """Return a number that grows with everything that is added or undone, so that a waiting process can poll it."""
        with self._connection(write=False) as connection:
            if connection is None:
                return 0
            parts = [f"SELECT COUNT(*) + COALESCE(SUM(undone), 0) AS n FROM {table}" for table in _TABLES.values()]
            return sum(int(connection.execute(part).fetchone()["n"]) for part in parts)

    def _all(self, kind: type[Kind]) -> tuple[Kind, ...]:
        """Return all records of a kind that were not undone, in order."""
        with self._connection(write=False) as connection:
            if connection is None:
                return ()
            rows = connection.execute(f"SELECT * FROM {_TABLES[kind]} WHERE undone = 0 ORDER BY number").fetchall()
        return tuple(_record(kind, row, self._path) for row in rows)

    @contextmanager
    def _connection(self, *, write: bool) -> Iterator[sqlite3.Connection | None]:
        """Yield the open file within a transaction; None if it is only read and does not exist yet."""
        if not write and not self._path.is_file():
            yield None
            return
        with translated(self._path):
            # Open the file; only a writer may create it
            mode = "rwc" if write else "ro"
            connection = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None)
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA busy_timeout = 10000")
                if write:
                    connection.execute("PRAGMA journal_mode = WAL")
                    connection.execute("PRAGMA synchronous = FULL")
                # A writer takes the write lock at once
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                if not self._versioned(connection, write=write):
                    yield None
                    return
                yield connection
                connection.execute("COMMIT")
            finally:
                connection.close()  # this rolls back what was not committed

    def _versioned(self, connection: sqlite3.Connection, *, write: bool) -> bool:
        """Return whether the tables exist; the first writer creates them.

        Raises:
            StoreVersion: a newer rewardgen wrote the file.
        """
        # 0: a new file
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise StoreVersion(
                f"{self._path} was written by a newer rewardgen (version {version}; this one knows {_VERSION}); "
                "upgrade rewardgen to read it"
            )
        # The transaction of the caller makes the tables, or none of them
        if version == 0 and write:
            for statement in _SCHEMA.split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        return version > 0 or write


def _record(kind: type[Kind], row: sqlite3.Row, path: Path) -> Kind:
    """Return a row as a record. The file may have been edited, so everything is validated again."""
    values: dict[str, Any] = {name: row[name] for name in row.keys() if name != "number"}  # noqa: SIM118
    try:
        if "candidates" in values:
            values["candidates"] = json.loads(values["candidates"])
        record = TypeAdapter(kind).validate_python({**values, "undone": bool(values["undone"])})
        _check(record)
    except (ValidationError, ValueError, UsageError) as error:
        raise StoreError(f"{path} holds a damaged record ({row['id']}): {error}") from error
    return record


def _check(record: Judgement | Order | Remark) -> None:
    """Raise UsageError if a record has not the right form, wherever it came from."""
    problems = []
    # Types
    try:
        TypeAdapter(type(record)).validate_python(asdict(record))
    except ValidationError as error:
        problems += [f"{'.'.join(map(str, each['loc']))}: {each['msg'].lower()}" for each in error.errors()]
    # Id, judge and words
    if not _ID.fullmatch(record.id):
        problems.append(f"the id {record.id[:80]!r} must be 8 to 64 letters, digits, - or _")
    if not _JUDGE.fullmatch(record.judge):
        problems.append("the name of the judge must have 1 to 80 characters, none of them a control character")
    if len(record.words) > MAX_WORDS:
        problems.append(f"at most {MAX_WORDS} characters, not {len(record.words)}")
    # Candidates of a ranking, or replays
    if isinstance(record, Order):
        wrong = [key for key in record.candidates if not _CANDIDATE.fullmatch(key)]
        problems += [f"{key[:80]!r} is not a candidate" for key in wrong]
        if len(set(record.candidates)) < max(2, len(record.candidates)):
            problems.append("a ranking names at least two candidates, each once")
    else:
        shown: Sequence[str] = (record.left, record.right) if isinstance(record, Judgement) else (record.replay,)
        problems += [f"{replay[:80]!r} is not a replay" for replay in shown if not _REPLAY.fullmatch(replay)]
        if len(set(shown)) < len(shown):
            problems.append("a replay cannot be compared with itself")
    # A remark has no duration
    seconds = getattr(record, "seconds", 0.0)
    if not 0 <= seconds < 1e9:
        problems.append(f"seconds must be between 0 and 1e9, not {seconds}")
    if problems:
        raise UsageError("this is not a valid judgement: " + "; ".join(problems))
