"""Start, resume and stop searches as processes that outlive the server; the next server finds them again.

FOLDER/.started/NAME.json     the process that works on the run NAME
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

STARTED_FOLDER = ".started"
TOKEN_VARIABLE = "REWARDGEN_WEB_TOKEN"
"""Environment variable of the server's token; not passed on to searches."""
MAX_RUNNING = 4
"""Max. searches started from the pages that run at once."""
LOG_END = 6000
"""Characters at the end of a log that are shown."""


@dataclass(frozen=True)
class Started:
    """A process that was started for a run. ``ended`` is its exit code; None while it lives or if unknown."""

    name: str
    pid: int
    alive: bool
    ended: int | None
    log: str


class Launcher:
    """Run ``rewardgen run`` and ``rewardgen resume`` for the runs in ``folder``. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._codes: dict[int, int | None] = {}  # exit codes of this server's children, None while they live

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Start the run ``name`` with ``rewardgen run`` and these arguments.

        Raises:
            UsageError: a run or a start of that name exists, or too many searches are running.
        """
        with self._lock:
            self._check_room()
            # A start that failed early leaves a record without a run
            if (self._folder / name).exists() or self._record(name).exists():
                raise UsageError(f"a run named {name} exists already; choose another name")
            self._spawn(name, ["run", *arguments, f"--name={name}", f"--out={self._folder}"])

    def resume(self, name: str, generations: int | None = None) -> None:
        """Resume a run that no process works on, with a new total of ``generations`` if given.

        Raises:
            UsageError: a process works on it, or too many are running.
        """
        with self._lock:
            self._check_room()
            # A process that is starting does not hold the run yet
            path = self._folder / name
            if held(path) or self.is_busy(name):
                raise UsageError(f"{name} is running already")
            more = [f"--generations={generations}"] if generations is not None else []
            self._spawn(name, ["resume", str(path), *more])

    def is_busy(self, name: str) -> bool:
        """Return whether a process that this server started for a run lives: it may be starting, or writing a report.

        Processes of earlier servers are not counted, because their numbers may be others' by now.
        """
        started = self.find(name)
        return started is not None and started.pid in self._codes and self._codes[started.pid] is None

    def stop(self, name: str) -> None:
        """Ask the process of a run to stop, as Ctrl-C does.

        Raises:
            UsageError: no process works on the run, or one that was not started from the pages.
        """
        path = self._folder / name
        if not held(path):
            raise UsageError(f"{name} is not running")
        if not self.may_stop(name):
            raise UsageError(f"{name} was not started from these pages; stop it where it was started, with Ctrl-C")
        # Signal the process that holds the run's lock
        pid = read_holder(path)
        assert pid is not None  # checked by may_stop
        os.kill(pid, signal.SIGTERM)

    def may_stop(self, name: str) -> bool:
        """Return whether the process that holds a run was started from the pages.

        It holds the run's lock, so its number cannot be another process's by now.
        """
        started = self.find(name)
        path = self._folder / name
        return started is not None and held(path) and read_holder(path) == started.pid

    def names(self) -> list[str]:
        """List the runs that a process was started for, by this server or an earlier one."""
        return sorted(path.stem for path in (self._folder / STARTED_FOLDER).glob("*.json"))

    def find(self, name: str) -> Started | None:
        """Return the last process that was started for a run, by this server or an earlier one."""
        try:
            record = json.loads(self._record(name).read_bytes())
            pid = int(record["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        # Exit codes are known of own children only
        code = self._codes.get(pid)
        alive = code is None if pid in self._codes else _is_alive(pid)
        return Started(name, pid, alive, code, self._log_end(name))

    def _spawn(self, name: str, arguments: Sequence[str]) -> None:
        """Start a process without a shell and record it."""
        folder = self._folder / STARTED_FOLDER
        try:
            # Only the server's user may read what searches print
            folder.mkdir(mode=0o700, exist_ok=True)
            with open(folder / f"{name}.log", "wb", opener=_private) as log:
                child = subprocess.Popen(
                    [sys.executable, "-m", "rewardgen.cli", *arguments],
                    env={key: value for key, value in os.environ.items() if key != TOKEN_VARIABLE},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C in the server's terminal must not reach it
                )
            # Later servers find the process by its record
            files.write_text(self._record(name), json.dumps({"pid": child.pid}), mode=files.PRIVATE)
        except OSError as error:
            raise UsageError(f"the search could not be started: {error}") from error
        # Wait for its exit code in the background
        self._codes[child.pid] = None
        threading.Thread(target=self._reap, args=(child,), daemon=True).start()

    def _reap(self, child: subprocess.Popen[bytes]) -> None:
        self._codes[child.pid] = child.wait()

    def _check_room(self) -> None:
        """Raise UsageError if too many searches are running."""
        found = [self.find(name) for name in self.names()]
        alive = [each for each in found if each is not None and self._is_at_work(each)]
        if len(alive) >= MAX_RUNNING:
            raise UsageError(
                f"{len(alive)} searches that were started here are running; stop one or wait until it ends"
            )

    def _is_at_work(self, started: Started) -> bool:
        """Return whether a process works on a run, or is starting to."""
        path = self._folder / started.name
        # Without a store there is no lock to ask yet
        return held(path) or self.is_busy(started.name) if (path / FILE_NAME).is_file() else started.alive

    def _record(self, name: str) -> Path:
        return self._folder / STARTED_FOLDER / f"{name}.json"

    def _log_end(self, name: str) -> str:
        """Return the end of what the last process of a run printed."""
        try:
            with (self._folder / STARTED_FOLDER / f"{name}.log").open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_END))
                return log.read().decode("utf-8", "replace")
        except OSError:
            return ""


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, files.PRIVATE)


def _is_alive(pid: int) -> bool:
    """Return whether a process with that number exists; True on Windows, where the check could end it."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return False
    return True
