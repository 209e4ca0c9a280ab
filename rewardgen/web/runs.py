"""The runs under a folder, by the names that addresses use; read anew only when something was written."""

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
"""How far below the folder a run may lie: a sweep keeps its runs in ``arm/task/seed``."""
_FRESH = 2.0
"""Seconds for which it is believed that the process of a running run is alive: no file tells when it dies."""
_KEPT = 400

Value = TypeVar("Value")
Mark = tuple[tuple[int, int], ...]


class Runs:
    """What the pages know of the runs in ``folder``. Any thread may ask."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, Path], tuple[object, Any]] = OrderedDict()

    def names(self) -> dict[str, Path]:
        """Name → directory. A run in a folder of its own below is named with "~" where its path has a slash."""
        return {"~".join(path.relative_to(self.folder).parts): path for path in sorted(_runs(self.folder, DEPTH))}

    def path(self, name: str) -> Path:
        """The directory of the run that an address names.

        Raises:
            UnknownName: there is none. A name is looked up among those that are there, never made into a path.
        """
        names = self.names()
        if name not in names:
            raise UnknownName("run", name, names)
        return names[name]

    def glances(self) -> list[tuple[str, Glance | StoreError]]:
        """A line for every run, the newest first; for one that cannot be read, why."""
        lines = [(name, self._glance(path)) for name, path in self.names().items()]
        return sorted(lines, key=lambda line: getattr(line[1], "created", ""), reverse=True)

    def view(self, name: str) -> RunView:
        """The whole of a run.

        Raises:
            UnknownName: there is none of that name.
            StoreError: it cannot be read.
        """
        path = self.path(name)
        return self.kept("view", path, self.mark(path), lambda: read(path))

    def mark(self, path: Path) -> object:
        """What changes when anything of a run does."""
        mark = _mark(path)
        kept = self._kept.get(("view", path))
        live = kept is not None and kept[1].status == "running"
        return (mark, int(time.monotonic() / _FRESH)) if live else (mark, 0)

    def kept(self, what: str, path: Path, mark: object, make: Callable[[], Value]) -> Value:
        """What ``make`` gives for a run, made once for each ``mark``."""
        with self._lock:
            found = self._kept.get((what, path))
        if found is not None and found[0] == mark:
            return found[1]
        made = make()
        with self._lock:
            self._kept[what, path] = mark, made
            self._kept.move_to_end((what, path))
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made

    def _glance(self, path: Path) -> Glance | StoreError:
        def look() -> Glance | StoreError:
            try:
                return glance(path)
            except StoreError as error:
                return error

        return self.kept("glance", path, (_mark(path), int(time.monotonic() / _FRESH)), look)


def _runs(folder: Path, depth: int) -> Iterator[Path]:
    try:
        inside = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return
    for path in inside:
        if (path / FILE_NAME).is_file():
            yield path
        elif depth > 1:
            yield from _runs(path, depth - 1)


def _mark(path: Path) -> Mark:
    """Times and sizes of a run's files; a log that holds nothing counts as none, since reading alone may make one."""
    marks = []
    for name in (FILE_NAME, JUDGEMENTS_FILE):
        for suffix in ("", "-wal"):
            try:
                stat = os.stat(path / (name + suffix))
                marks.append((stat.st_mtime_ns, stat.st_size) if stat.st_size else (0, 0))
            except OSError:
                marks.append((0, 0))
    return tuple(marks)
