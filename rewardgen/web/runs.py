"""The runs below a folder, by their names in URLs. Results are cached until a run's files change."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from rewardgen.errors import StoreError, UnknownName
from rewardgen.store import JUDGEMENTS_FILE, Glance, RunView, glance, read
from rewardgen.store.database import FILE_NAME

DEPTH = 4
"""Max. depth of a run below the folder: a sweep keeps its runs in ``arm/task/seed``."""
_LIVENESS_SECONDS = 2.0
"""Seconds for which a running run is assumed to be alive: no file changes when its process dies."""
_MAX_CACHED = 400

Value = TypeVar("Value")
Mark = tuple[tuple[int, int], ...]


class Runs:
    """The runs in ``folder``, with a cache. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, Path], tuple[object, Any]] = OrderedDict()

    # ---- lookups

    def names(self) -> dict[str, Path]:
        """Return the directory of each run by name; "~" stands for a slash in the path below the folder."""
        return {"~".join(path.relative_to(self.folder).parts): path for path in sorted(_find_runs(self.folder, DEPTH))}

    def path(self, name: str) -> Path:
        """Look up the directory of a run. Names from URLs are never used as paths.

        Raises:
            UnknownName: there is no such run.
        """
        names = self.names()
        if name not in names:
            raise UnknownName("run", name, names)
        return names[name]

    def glances(self) -> list[tuple[str, Glance | StoreError]]:
        """Return a short view of every run, newest first; for an unreadable one, the error."""
        lines = [(name, self._glance(path)) for name, path in self.names().items()]
        return sorted(lines, key=lambda line: getattr(line[1], "created", ""), reverse=True)

    def view(self, name: str) -> RunView:
        """Read a run.

        Raises:
            UnknownName: there is no such run.
            StoreError: it cannot be read.
        """
        path = self.path(name)
        return self.cached("view", path, self.mark(path), lambda: read(path))

    # ---- cache

    def mark(self, path: Path) -> object:
        """Return a value that changes whenever the run does."""
        # The process of a live run may die without a trace in its files
        mark = _mark(path)
        kept = self._cache.get(("view", path))
        live = kept is not None and kept[1].status == "running"
        return (mark, int(time.monotonic() / _LIVENESS_SECONDS)) if live else (mark, 0)

    def cached(self, what: str, path: Path, mark: object, make: Callable[[], Value]) -> Value:
        """Return the result of ``make`` for a run, computed once for each ``mark``."""
        with self._lock:
            found = self._cache.get((what, path))
        if found is not None and found[0] == mark:
            return found[1]
        # Computed without the lock; two threads may do it at once
        made = make()
        with self._lock:
            self._cache[what, path] = mark, made
            self._cache.move_to_end((what, path))
            # Drop what was not used for longest
            while len(self._cache) > _MAX_CACHED:
                self._cache.popitem(last=False)
        return made

    def _glance(self, path: Path) -> Glance | StoreError:
        def look() -> Glance | StoreError:
            try:
                return glance(path)
            except StoreError as error:
                return error

        return self.cached("glance", path, (_mark(path), int(time.monotonic() / _LIVENESS_SECONDS)), look)


def _find_runs(folder: Path, depth: int) -> Iterator[Path]:
    """Find runs below a folder, hidden folders left out."""
    try:
        inside = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return
    for path in inside:
        if (path / FILE_NAME).is_file():
            yield path
        elif depth > 1:
            yield from _find_runs(path, depth - 1)


def _mark(path: Path) -> Mark:
    """Return times and sizes of a run's files. An empty log counts as none: reading a store may create one."""
    # Committed changes are in the write-ahead log first
    marks = []
    for name in (FILE_NAME, JUDGEMENTS_FILE):
        for suffix in ("", "-wal"):
            try:
                stat = os.stat(path / (name + suffix))
                marks.append((stat.st_mtime_ns, stat.st_size) if stat.st_size else (0, 0))
            except OSError:
                marks.append((0, 0))
    return tuple(marks)
