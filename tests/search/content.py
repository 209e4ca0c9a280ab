"""The whole content of a run's files without what differs between two equal runs, and what differs in spite of that."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rewardgen.store.database import FILE_NAME

COLUMNS = frozenset({"started", "time", "seconds", "cached", "id", "created"})
"""Columns that tell the time, how long something took, or where an answer came from."""
META = frozenset({"id", "seconds", "created", "versions", "machine"})
"""Keys of the table ``meta`` that do."""
FIELDS = COLUMNS | {"versions", "machine", "rates", "hours", "training_seconds", "threads", "about"}
"""Fields of JSON files that do; ``about`` holds digests of the code that measured a baseline."""
SKIPPED = frozenset({"progress.json"})
"""Files that hold nothing else."""
SHOWN = 160
"""Characters of a value that are printed."""

Row = dict[str, Any]


def content(run_dir: Path, file: str = FILE_NAME) -> dict[str, list[Row]]:
    """Read every table of a run's database: its rows without ``COLUMNS`` and ``META``, in an order of their own."""
    return {table: rows for table, (_, rows) in _tables(run_dir / file).items()}


def document(folder: Path, places: Mapping[str, str]) -> dict[str, Any]:
    """Read all files below ``folder`` that hold results.

    Args:
        folder: a run's folder, a sweep's, or one that holds either with its baselines.
        places: text → what stands in its place, for paths and addresses that no second run has again.

    Returns:
        Section → ``{"key": columns that name a row, "rows": [...]}``, plain values for one JSON document. A section is
        a table of a database, the lines of a JSON file, or the digests of all artifacts.
    """
    sections: dict[str, Any] = {}
    artifacts: list[Row] = []
    for path in sorted(folder.rglob("*")):
        name = re.sub(r"\.baselines/[0-9a-f]{64}/", ".baselines/", path.relative_to(folder).as_posix())
        if not path.is_file() or path.name in SKIPPED or ".replies" in path.parts:
            continue
        if path.suffix == ".sqlite":
            for table, (key, rows) in _tables(path).items():
                values = [{column: _plain(value, places) for column, value in row.items()} for row in rows]
                sections[f"{name} {table}"] = {"key": key, "rows": values}
        elif path.suffix in (".json", ".jsonl"):
            text = _replaced(path.read_text(encoding="utf-8"), places)
            lines = [text] if path.suffix == ".json" else text.splitlines()
            rows = [_without(json.loads(line), FIELDS) for line in lines]
            sections.setdefault(name, {"key": [], "rows": []})["rows"] += rows
        elif path.suffix == ".safetensors":
            artifacts.append({"file": name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    sections["artifacts"] = {"key": ["file"], "rows": artifacts}
    for section, found in sections.items():
        if section.endswith(" meta"):
            for row in found["rows"]:
                if row["key"] in ("config", "given"):  # how many threads there are changes no result
                    row["value"] = _without(row["value"], frozenset({"threads"}))
        found["rows"].sort(key=_text)
    return sections


def _tables(path: Path) -> dict[str, tuple[list[str], list[Row]]]:
    """Table → the columns of its primary key, and its rows."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    found = {}
    try:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
            kept = [column for column in columns if column["name"] not in COLUMNS]
            names = ", ".join(f'"{column["name"]}"' for column in kept)
            rows = [dict(row) for row in connection.execute(f'SELECT {names} FROM "{table}"')]
            if table == "meta":
                rows = [row for row in rows if row["key"] not in META]
            found[table] = [column["name"] for column in kept if column["pk"]], sorted(rows, key=repr)
    finally:
        connection.close()
    return found


def _plain(value: Any, places: Mapping[str, str]) -> Any:
    """A cell as plain values: JSON texts parsed, bytes as their digest."""
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest()}
    if not isinstance(value, str):
        return value
    value = _replaced(value, places)
    if value[:1] in '[{"' or value in ("null", "true", "false"):
        try:
            return json.loads(value)
        except ValueError:
            pass
    return value


def _replaced(text: str, places: Mapping[str, str]) -> str:
    for place, instead in places.items():
        text = text.replace(place, instead)
    return text


def _without(value: Any, fields: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, fields) for key, item in value.items() if key not in fields}
    return [_without(item, fields) for item in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    """JSON text that is equal for equal values alone: 0.0 is not -0.0, NaN is NaN."""
    return json.dumps(value, sort_keys=True)


# ---- what differs


@dataclass
class Renamed:
    """Names that were changed on purpose, old → new.

    ``columns`` are given as ``table.column`` with the table's old name, or as ``column`` for all tables.
    """

    tables: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    events: dict[str, str] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    met: set[tuple[str, str]] = field(default_factory=set, init=False)
    """Which of them the documents held: (what, old name)."""

    @classmethod
    def of(cls, path: Path) -> Renamed:
        """Read a YAML file with the sections tables, columns, events and meta.

        Raises:
            ValueError: it holds anything else.
        """
        given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        sections = ("tables", "columns", "events", "meta")
        if not isinstance(given, dict) or not set(given) <= set(sections):
            raise ValueError(f"{path} may have the sections {', '.join(sections)} only")
        for name, names in given.items():
            if not isinstance(names, dict) or not all(isinstance(text, str) for pair in names.items() for text in pair):
                raise ValueError(f"{path}: {name} must map old names to new ones")
        return cls(**given)

    @property
    def unmet(self) -> list[str]:
        """Names that no document held, as they stand in the file."""
        return [
            f"{what}: {old}"
            for what in ("tables", "columns", "events", "meta")
            for old in getattr(self, what)
            if (what, old) not in self.met
        ]

    def __call__(self, sections: Mapping[str, Any]) -> dict[str, Any]:
        """Give the document ``sections`` its new names."""
        renamed = {}
        for name, section in sections.items():
            file, _, table = name.partition(" ")
            if not table:  # a JSON file, or the artifacts
                renamed[name] = section
                continue
            rows = [{self._column(table, column): value for column, value in row.items()} for row in section["rows"]]
            which = {"events": ("kind", "events"), "meta": ("key", "meta")}.get(table)
            if which is not None:
                column, what = self._column(table, which[0]), which[1]
                rows = [row | {column: self._name(what, row[column])} for row in rows]
            key = [self._column(table, column) for column in section["key"]]
            renamed[f"{file} {self._name('tables', table)}"] = {"key": key, "rows": rows}
        return renamed

    def _name(self, what: str, old: str) -> str:
        names: dict[str, str] = getattr(self, what)
        if old in names:
            self.met.add((what, old))
        return names.get(old, old)

    def _column(self, table: str, column: str) -> str:
        own = f"{table}.{column}"
        return self._name("columns", own if own in self.columns else column).removeprefix(f"{table}.")


@dataclass(frozen=True)
class Difference:
    """One value that is not what it was. ``row`` and ``column`` are empty where a whole table or row came or went."""

    run: str
    table: str
    row: str
    column: str
    before: str
    now: str

    def __str__(self) -> str:
        place = " · ".join(part for part in (self.run, self.table, self.row, self.column) if part)
        return f"{place}: {_short(self.before)} → {_short(self.now)}"


ABSENT = "(absent)"


def differences(run: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    """Compare two documents of the run ``run``, value by value."""
    for table in sorted({*before, *now}):
        if table not in before or table not in now:
            ends = [f"({len(each[table]['rows'])} rows)" if table in each else ABSENT for each in (before, now)]
            yield Difference(run, table, "", "", *ends)
            continue
        old, new = (_named(each[table]["rows"], now[table]["key"]) for each in (before, now))
        for row in sorted({*old, *new}):
            if row not in old or row not in new:
                ends = ["(a row)" if row in each else ABSENT for each in (old, new)]
                yield Difference(run, table, _short(row), "", *ends)
                continue
            for column, one, other in _leaves({"": old[row]}, {"": new[row]}, ""):
                yield Difference(run, table, row, column, one, other)


def _named(rows: Sequence[Any], key: Sequence[str]) -> dict[str, Row]:
    """Rows by their primary key; of several without one, each by all that it holds."""
    if not key and len(rows) == 1:
        return {"": rows[0]}
    found: dict[str, Row] = {}
    seen: Counter[str] = Counter()
    for row in rows:
        named = bool(key) and all(column in row for column in key)
        name = " ".join(f"{column}={row[column]}" for column in key) if named else _text(row)
        seen[name] += 1
        found[name if seen[name] == 1 else f"{name} #{seen[name]}"] = row if named else {}
    return found


def _leaves(one: Any, other: Any, key: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """The innermost values under ``key`` that differ: their path, and both as JSON text."""
    within = isinstance(key, int)
    path = f"{path}[{key}]" if within else f"{path}.{key}" if path else str(key)
    values = []
    for holder in (one, other):
        held = key < len(holder) if within else key in holder
        values.append([holder[key]] if held else [])
    if all(values):
        first, second = values[0][0], values[1][0]
        if isinstance(first, dict) and isinstance(second, dict):
            for inner in sorted({*first, *second}):
                yield from _leaves(first, second, inner, path)
            return
        if isinstance(first, list) and isinstance(second, list):
            for index in range(max(len(first), len(second))):
                yield from _leaves(first, second, index, path)
            return
    texts = [_text(value[0]) if value else ABSENT for value in values]
    if texts[0] != texts[1]:
        yield path, texts[0], texts[1]


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
