"""What people said of a run's replays: a file of its own beside ``run.sqlite``, which any process may write.

The search holds ``run.sqlite`` for itself while it works, and people answer meanwhile, several at once, from the pages
or a terminal. Nothing in here is ever changed but one mark: that its author took it back.
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
"""Characters that one remark may have."""
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
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_CANDIDATE = re.compile(r"r\d{1,4}g\d{1,4}c\d{1,4}")
_REPLAY = re.compile(rf"{_CANDIDATE.pattern}\.\d{{1,3}}")
_JUDGE = re.compile(r"[^\x00-\x1f\x7f]{1,80}")

Said = TypeVar("Said", Judgement, Order, Remark)


class Judgements:
    """The judgements of the run in ``run_dir``. Every call opens the file anew, so any thread and process may call.

    The file is made by the first that writes.
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self._path = run_dir / JUDGEMENTS_FILE

    def add(self, said: Judgement | Order | Remark) -> bool:
        """Keep what somebody said. False: it was kept before (the same ``id``), and nothing is changed.

        Raises:
            UsageError: it names no replay or candidate of a run's form, has too many words, or no author.
            StoreError: the file cannot be written.
        """
        _check(said)
        values = {**asdict(said), "undone": int(said.undone)}
        if isinstance(said, Order):
            values["candidates"] = json.dumps(said.candidates)
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" for _ in values)
        with self._connection(write=True) as connection:
            assert connection is not None
            made = connection.execute(
                f"INSERT OR IGNORE INTO {_TABLES[type(said)]} ({names}) VALUES ({marks})", tuple(values.values())
            )
            return made.rowcount == 1

    def undo(self, said: str, judge: str) -> bool:
        """Take back the judgement, order or remark of that ``id``. False: there is none by this judge."""
        if not self._path.is_file():
            return False
        with self._connection(write=True) as connection:
            assert connection is not None
            counts = [
                connection.execute(
                    f"UPDATE {table} SET undone = 1 WHERE id = ? AND judge = ? AND undone = 0", (said, judge)
                ).rowcount
                for table in _TABLES.values()
            ]
            return any(counts)

    def judgements(self) -> tuple[Judgement, ...]:
        """All judgements that were not taken back, in the order in which they came."""
        return self._all(Judgement)

    def orders(self) -> tuple[Order, ...]:
        return self._all(Order)

    def remarks(self) -> tuple[Remark, ...]:
        return self._all(Remark)

    def mark(self) -> int:
        """A number that grows with everything that is said or taken back: whoever waits looks at this alone."""
        with self._connection(write=False) as connection:
            if connection is None:
                return 0
            parts = [f"SELECT COUNT(*) + COALESCE(SUM(undone), 0) AS n FROM {table}" for table in _TABLES.values()]
            return sum(int(connection.execute(part).fetchone()["n"]) for part in parts)

    def _all(self, kind: type[Said]) -> tuple[Said, ...]:
        with self._connection(write=False) as connection:
            if connection is None:
                return ()
            rows = connection.execute(f"SELECT * FROM {_TABLES[kind]} WHERE undone = 0 ORDER BY number").fetchall()
        return tuple(_record(kind, row, self._path) for row in rows)

    @contextmanager
    def _connection(self, *, write: bool) -> Iterator[sqlite3.Connection | None]:
        """An open file in a transaction; None where nobody has said anything and nobody does now."""
        if not write and not self._path.is_file():
            yield None
            return
        with translated(self._path):
            mode = "rwc" if write else "ro"
            connection = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None)
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA busy_timeout = 10000")
                if write:
                    connection.execute("PRAGMA journal_mode = WAL")
                    connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                if not self._versioned(connection, write=write):
                    yield None
                    return
                yield connection
                connection.execute("COMMIT")
            finally:
                connection.close()  # what was not committed is rolled back

    def _versioned(self, connection: sqlite3.Connection, *, write: bool) -> bool:
        """Whether the tables are there; whoever writes first makes them."""
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise StoreVersion(
                f"{self._path} was written by a newer rewardgen (version {version}; this one knows {_VERSION}); "
                "upgrade rewardgen to read it"
            )
        if version == 0 and write:
            for statement in _SCHEMA.split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        return version > 0 or write


def _record(kind: type[Said], row: sqlite3.Row, path: Path) -> Said:
    """A row as a record. The file may have been edited, so everything is validated again."""
    values: dict[str, Any] = {name: row[name] for name in row.keys() if name != "number"}  # noqa: SIM118
    try:
        if "candidates" in values:
            values["candidates"] = json.loads(values["candidates"])
        said = TypeAdapter(kind).validate_python({**values, "undone": bool(values["undone"])})
        _check(said)
    except (ValidationError, ValueError, UsageError) as error:
        raise StoreError(f"{path} holds a damaged record ({row['id']}): {error}") from error
    return said


def _check(said: Judgement | Order | Remark) -> None:
    """That a record has the form of one, wherever it came from."""
    problems = []
    try:
        TypeAdapter(type(said)).validate_python(asdict(said))
    except ValidationError as error:
        problems += [f"{'.'.join(map(str, each['loc']))}: {each['msg'].lower()}" for each in error.errors()]
    if not _ID.fullmatch(said.id):
        problems.append(f"the id {said.id[:80]!r} must be 8 to 64 letters, digits, - or _")
    if not _JUDGE.fullmatch(said.judge):
        problems.append("the name of the judge must have 1 to 80 characters, none of them a control character")
    if len(said.words) > MAX_WORDS:
        problems.append(f"at most {MAX_WORDS} characters, not {len(said.words)}")
    if isinstance(said, Order):
        wrong = [key for key in said.candidates if not _CANDIDATE.fullmatch(key)]
        problems += [f"{key[:80]!r} is no candidate" for key in wrong]
        if len(set(said.candidates)) < max(2, len(said.candidates)):
            problems.append("an order names at least two candidates, each once")
    else:
        shown: Sequence[str] = (said.left, said.right) if isinstance(said, Judgement) else (said.replay,)
        problems += [f"{replay[:80]!r} is no replay" for replay in shown if not _REPLAY.fullmatch(replay)]
        if len(set(shown)) < len(shown):
            problems.append("a replay cannot be compared with itself")
    seconds = getattr(said, "seconds", 0.0)
    if not 0 <= seconds < 1e9:
        problems.append(f"seconds must be a time that passed, not {seconds}")
    if problems:
        raise UsageError("this cannot be kept as a judgement: " + "; ".join(problems))
