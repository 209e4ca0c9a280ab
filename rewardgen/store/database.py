"""The SQLite side of a run: schema, connections, and SQLite's errors as ours."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from rewardgen import files
from rewardgen.errors import DiskFull, StoreError, StoreVersion

FILE_NAME = "run.sqlite"
SCHEMA_VERSION = 3

# Columns named `started`, `time`, `seconds` and `cached` may differ between two otherwise identical runs
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE calls (
    key TEXT PRIMARY KEY, purpose TEXT NOT NULL, seed INTEGER NOT NULL, messages TEXT NOT NULL,
    error TEXT NOT NULL, started TEXT NOT NULL);
CREATE TABLE replies (
    call TEXT NOT NULL REFERENCES calls(key), number INTEGER NOT NULL, text TEXT NOT NULL, model TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, dollars REAL NOT NULL,
    estimated INTEGER NOT NULL,
    finish_reason TEXT NOT NULL, cached INTEGER NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (call, number));
CREATE TABLE generations (
    restart INTEGER NOT NULL, number INTEGER NOT NULL, messages TEXT NOT NULL, finished INTEGER NOT NULL,
    PRIMARY KEY (restart, number));
CREATE TABLE candidates (
    key TEXT PRIMARY KEY, restart INTEGER NOT NULL, generation INTEGER NOT NULL, number INTEGER NOT NULL, parent TEXT,
    status TEXT NOT NULL, source TEXT, score REAL, reflection TEXT NOT NULL, selected INTEGER NOT NULL,
    low REAL, high REAL);
CREATE TABLE attempts (
    candidate TEXT NOT NULL REFERENCES candidates(key), number INTEGER NOT NULL, call TEXT NOT NULL,
    reply INTEGER NOT NULL, source TEXT, problems TEXT NOT NULL, output TEXT NOT NULL,
    PRIMARY KEY (candidate, number));
CREATE TABLE trainings (
    owner TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL, message TEXT NOT NULL, curve TEXT NOT NULL,
    weights TEXT, steps INTEGER NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (owner, seed));
CREATE TABLE evaluations (name TEXT PRIMARY KEY, evaluation TEXT NOT NULL);
CREATE TABLE events (id INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE forecasts (candidate TEXT PRIMARY KEY, forecast TEXT NOT NULL);
CREATE TABLE episodes (place TEXT PRIMARY KEY, artifact TEXT NOT NULL);
CREATE TABLE verdicts (
    restart INTEGER NOT NULL, number INTEGER NOT NULL, verdict TEXT NOT NULL, PRIMARY KEY (restart, number));
"""

# What each version added to the one before; an old store is migrated when it is next opened for writing
ADDED = {
    2: (
        "ALTER TABLE candidates ADD COLUMN low REAL",
        "ALTER TABLE candidates ADD COLUMN high REAL",
        "CREATE TABLE forecasts (candidate TEXT PRIMARY KEY, forecast TEXT NOT NULL)",
        "CREATE TABLE episodes (place TEXT PRIMARY KEY, artifact TEXT NOT NULL)",
    ),
    3: (
        "CREATE TABLE verdicts (restart INTEGER NOT NULL, number INTEGER NOT NULL, verdict TEXT NOT NULL, "
        "PRIMARY KEY (restart, number))",
    ),
}

Record = TypeVar("Record")


def now() -> str:
    """Return the time in UTC as ISO 8601, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def to_json(value: Any, kind: Any = None) -> str:
    """Return a record (or plain values) as JSON text; NaN and infinity as Python's json writes them."""
    plain = TypeAdapter(kind).dump_python(value, mode="python") if kind is not None else value
    return json.dumps(plain, sort_keys=True, default=str)


def from_json(text: str, kind: type[Record]) -> Record:
    """Return the record that ``to_json`` wrote. The file may have been edited, so everything is validated again.

    Raises:
        StoreError: the text is not a valid record.
    """
    try:
        return TypeAdapter(kind).validate_python(json.loads(text))
    except ValueError as error:
        raise StoreError(f"the store holds a damaged record: {error}") from error


def connect(run_dir: Path, *, write: bool) -> sqlite3.Connection:
    """Open the run's database.

    Raises:
        StoreError: there is none, or it is not a rewardgen store.
        StoreVersion: a newer rewardgen wrote it.
    """
    path = run_dir / FILE_NAME
    if not path.is_file():
        raise StoreError(f"{run_dir} holds no run ({FILE_NAME} is missing); `rewardgen show` lists the runs")
    mode = "rw" if write else "ro"
    with translated(run_dir):
        # Open the file; a reader never creates or changes it
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA busy_timeout = 10000")
        # Refuse what this version cannot read
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            connection.close()
            raise StoreVersion(
                f"{path} was written by a newer rewardgen (store version {version}; this one knows {SCHEMA_VERSION}); "
                "upgrade rewardgen to read it"
            )
        if version < 1:
            connection.close()
            raise StoreError(f"{path} is not a rewardgen store; give another run directory")
        # A writer commits each step to the disk before the next one begins
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            _migrate(connection, version)
    return connection


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a store of an older version up to date, in one transaction."""
    if version == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    for later in range(version + 1, SCHEMA_VERSION + 1):
        for statement in ADDED[later]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def create(run_dir: Path) -> sqlite3.Connection:
    """Make a new database, completely or not at all: the file gets its name only once it has its schema.

    Raises:
        StoreError: there already is one, or the directory cannot be written.
    """
    path = run_dir / FILE_NAME
    # A run is never overwritten
    if path.exists():
        raise StoreError(
            f"{run_dir} already holds a run; `rewardgen resume {run_dir}` continues it, or choose another folder"
        )
    with translated(run_dir), files.replacing(path) as fresh:
        connection = sqlite3.connect(fresh, isolation_level=None)
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        connection.close()
    return connect(run_dir, write=True)


@contextmanager
def translated(where: Path) -> Iterator[None]:
    """Raise errors of SQLite and the file system as ours.

    Raises:
        DiskFull: there is no space left to write.
        StoreError: anything else that SQLite or the file system reports.
    """
    try:
        yield
    # SQLite has its own code for a full disk, the file system another
    except sqlite3.Error as error:
        text = str(error)
        if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
            raise DiskFull(
                f"no space left in {where} ({text}); free some space, then run `rewardgen resume {where}`"
            ) from error
        raise StoreError(f"the store in {where} cannot be used: {text}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"no space left in {where}; free some, then run `rewardgen resume {where}`") from error
        raise StoreError(f"cannot use {where}: {error}") from error
