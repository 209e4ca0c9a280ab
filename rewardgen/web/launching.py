"""Searches that the pages started: processes of their own, which go on without the server and are found again.

FOLDER/.started/NAME.json     which process works on the run NAME
FOLDER/.started/NAME.log      what it printed
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rewardgen import files
from rewardgen.errors import UsageError
from rewardgen.store import held, read_holder
from rewardgen.store.database import FILE_NAME

KEPT_IN = ".started"
TOKEN_VARIABLE = "REWARDGEN_WEB_TOKEN"
"""Holds the server's token, which is nobody else's business."""
MAX_RUNNING = 4
"""Searches that pages may have running at once."""
LOG_END = 6000
"""Characters of a log's end that are shown."""


@dataclass(frozen=True)
class Started:
    """A process that was started for a run. ``ended`` is its exit code: None while it lives, or if it is unknown."""

    name: str
    pid: int
    alive: bool
    ended: int | None
    log: str


class Launcher:
    """Starts ``rewardgen run`` and ``rewardgen resume`` for the runs in ``folder``. Any thread may call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._codes: dict[int, int | None] = {}  # of this server's own children, None while they live

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Begin the run ``name`` with ``rewardgen run`` and these arguments.

        Raises:
            UsageError: a run or a start of that name exists, or too many are running.
        """
        with self._lock:
            self._check_room()
            if (self._folder / name).exists() or self._record(name).exists():
                raise UsageError(f"a run named {name} exists already; choose another name")
            self._spawn(name, ["run", *arguments, f"--name={name}", f"--out={self._folder}"])

    def resume(self, name: str) -> None:
        """Go on with a run that nobody works on.

        Raises:
            UsageError: a process holds it, or too many are running.
        """
        with self._lock:
            self._check_room()
            path = self._folder / name
            if held(path):
                raise UsageError(f"{name} is running already")
            self._spawn(name, ["resume", str(path)])

    def stop(self, name: str) -> None:
        """Ask the process of a run to stop as Ctrl-C does. It ends within moments; what was done is kept.

        Raises:
            UsageError: no process works on it, or one that the pages did not start.
        """
        path = self._folder / name
        if not held(path):
            raise UsageError(f"{name} is not running")
        if not self.may_stop(name):
            raise UsageError(f"{name} was not started from these pages; stop it where it was started, with Ctrl-C")
        pid = read_holder(path)
        assert pid is not None  # said by may_stop
        os.kill(pid, signal.SIGTERM)

    def may_stop(self, name: str) -> bool:
        """Whether the process that holds a run is the one that was started here.

        The lock tells that the process lives, so its number cannot have passed on to another.
        """
        started = self.find(name)
        path = self._folder / name
        return started is not None and held(path) and read_holder(path) == started.pid

    def names(self) -> list[str]:
        """The runs that a process was started for, by this server or one before it."""
        return sorted(path.stem for path in (self._folder / KEPT_IN).glob("*.json"))

    def find(self, name: str) -> Started | None:
        """The process that was started last for a run, by this server or one before it."""
        try:
            told = json.loads(self._record(name).read_bytes())
            pid = int(told["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        code = self._codes.get(pid)
        alive = code is None if pid in self._codes else _is_alive(pid)
        return Started(name, pid, alive, code, self._log_end(name))

    def _spawn(self, name: str, arguments: Sequence[str]) -> None:
        kept = self._folder / KEPT_IN
        try:
            kept.mkdir(mode=0o700, exist_ok=True)
            with open(kept / f"{name}.log", "wb", opener=_private) as log:
                child = subprocess.Popen(
                    [sys.executable, "-m", "rewardgen.cli", *arguments],
                    env={key: value for key, value in os.environ.items() if key != TOKEN_VARIABLE},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C in the server's terminal is not for it
                )
            files.write_text(self._record(name), json.dumps({"pid": child.pid}), mode=files.PRIVATE)
        except OSError as error:
            raise UsageError(f"the search could not be started: {error}") from error
        self._codes[child.pid] = None
        threading.Thread(target=self._reap, args=(child,), daemon=True).start()

    def _reap(self, child: subprocess.Popen[bytes]) -> None:
        self._codes[child.pid] = child.wait()

    def _check_room(self) -> None:
        found = [self.find(name) for name in self.names()]
        alive = [each for each in found if each is not None and self._is_at_work(each)]
        if len(alive) >= MAX_RUNNING:
            raise UsageError(f"{len(alive)} searches that were started here are running; stop one or wait for its end")

    def _is_at_work(self, started: Started) -> bool:
        path = self._folder / started.name
        return held(path) if (path / FILE_NAME).is_file() else started.alive

    def _record(self, name: str) -> Path:
        return self._folder / KEPT_IN / f"{name}.json"

    def _log_end(self, name: str) -> str:
        try:
            with (self._folder / KEPT_IN / f"{name}.log").open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_END))
                return log.read().decode("utf-8", "replace")
        except OSError:
            return ""


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, files.PRIVATE)


def _is_alive(pid: int) -> bool:
    """Whether a process of that number lives; said to where that cannot be asked without disturbing it (Windows)."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return False
    return True
