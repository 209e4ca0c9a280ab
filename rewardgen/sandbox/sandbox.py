"""The sandbox: a fork server, and the workers that were opened from it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from rewardgen.errors import SandboxError
from rewardgen.records import Layout, RewardProgram
from rewardgen.sandbox.layers import (
    LayerReport,
    Level,
    default_level,
    missing,
    names_of,
    refusal,
    reports,
    surrender,
)
from rewardgen.sandbox.protocol import CONTROL, OUTCOME, Operation, Outcome
from rewardgen.sandbox.worker import SandboxLimits, Worker

_START_SECONDS = 120.0  # torch on a cold disk takes its time
_ANSWER_SECONDS = 30.0

# Runs in the server before anything else. The packages are named but their __init__ is not run: that would load the
# whole of rewardgen, the simulator included, into every worker. Our own path entries follow the interpreter's.
_BOOTSTRAP = """
import os, sys, types
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
root = sys.argv[3]
sys.path += [path for path in sys.argv[4:] if path not in sys.path]
for name in ("rewardgen", "rewardgen.program", "rewardgen.sandbox"):
    package = types.ModuleType(name)
    package.__path__ = [os.path.join(root, *name.split(".")[1:])]
    sys.modules[name] = package
from rewardgen.sandbox.namespaces import enter
entered = enter(parent=int(sys.argv[2]), control=int(sys.argv[1]))
from rewardgen.sandbox.server import main
main(entered)
"""


class Sandbox:
    """Runs reward programs in processes of their own. A context manager; use from one thread.

    The server starts when the sandbox is entered and is waited for when the first worker is opened.
    """

    def __init__(self, limits: SandboxLimits | None = None, level: Level | None = None) -> None:
        """``level``: strict refuses to run with a required layer missing, basic makes do; strict is Linux's default."""
        self.limits = limits or SandboxLimits()
        self.level: Level = level or default_level()
        self._server: _Server | None = None
        self._next = 0
        self._workers: set[Worker] = set()
        self._closed = False

    def __enter__(self) -> Sandbox:
        self._ensure_server()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def open(self, program: RewardProgram, layout: Layout, action_size: int, capacity: int) -> Worker:
        """Start a worker for ``program`` that labels up to ``capacity`` transitions at a time.

        Returns as soon as its process is there: what is wrong with the program comes from the first ``result``.

        Raises:
            SandboxError: the server or the worker could not be started, or a layer that ``strict`` asks for is missing.
            ValueError: ``capacity`` is below 1.
        """
        if capacity < 1:
            raise ValueError(f"a worker needs a capacity of at least 1, not {capacity}")
        server = self._ready_server()
        self._next += 1
        number = self._next

        def end() -> int | None:
            """The process's wait status; None when the server is gone. Only the first call asks for it."""
            if number not in statuses:
                statuses[number] = server.end(number)
                self._workers.discard(worker)
            return statuses[number]

        statuses: dict[int, int | None] = {}
        try:
            worker = Worker(program, layout, action_size, capacity, self.limits, self.level, end)
        except OSError as error:
            raise SandboxError(f"no shared memory for a sandbox worker: {error}; free some or open fewer") from error
        try:
            server.open(number, worker, self.limits)
        except BaseException:
            worker.close()
            raise
        worker.started()
        self._workers.add(worker)
        return worker

    @property
    def confinement(self) -> tuple[str, ...]:
        """The names of the layers in force, as a probe has found them; waits for the server.

        Raises:
            SandboxError: the server could not be started, or a layer that ``strict`` asks for is missing.
        """
        return self._ready_server().confinement

    @property
    def notice(self) -> str:
        """What running at this level gives up on this machine, in a sentence; empty where nothing is given up."""
        return surrender(self.confinement)

    def close(self) -> None:
        """End the server and every worker. Harmless when called twice."""
        self._closed = True
        for worker in list(self._workers):
            worker.close()
        if self._server is not None:
            self._server.close()
            self._server = None

    def _ready_server(self) -> _Server:
        server = self._ensure_server()
        server.wait_ready()
        if self.level == "strict" and (absent := missing(server.confinement)):
            raise SandboxError(refusal(absent) + server.said())
        return server

    def _ensure_server(self) -> _Server:
        if self._closed:
            raise SandboxError("the sandbox is closed")
        if self._server is not None and not self._server.alive:
            self._server.close()
            self._server = None
        if self._server is None:
            if not hasattr(os, "fork"):
                raise SandboxError(
                    "reward code runs in forked processes, and this system (Windows) has no fork: run rewardgen in "
                    "WSL 2, which is Linux and has the strict sandbox"
                )
            self._server = _Server()
        return self._server


class _Server:
    """The parent's end of the fork server."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the server
        self._ready = False
        self.confinement: tuple[str, ...] = ()
        paths = [path for path in sys.path if path and Path(path).is_absolute()]
        root = str(Path(__file__).resolve().parent.parent)
        command = [sys.executable, "-I", "-c", _BOOTSTRAP, str(theirs.fileno()), str(os.getpid()), root, *paths]
        try:
            self._process = subprocess.Popen(
                command,
                env={},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the parent
                cwd="/",
            )
        except OSError as error:
            ours.close()
            self._log.close()
            raise SandboxError(f"the sandbox's server could not be started: {error}") from error
        finally:
            theirs.close()
        self._socket = ours

    @property
    def alive(self) -> bool:
        if self._process.poll() is not None:
            return False
        hung_up = select.poll()  # its keeper may take a moment longer to end than the server
        hung_up.register(self._socket, 0)  # POLLHUP is always told
        return not hung_up.poll(0)

    def open(self, number: int, worker: Worker, limits: SandboxLimits) -> None:
        self.wait_ready()
        shape = worker.shape
        request = CONTROL.pack(
            Operation.OPEN,
            number,
            shape.program,
            shape.capacity,
            shape.width,
            shape.action_size,
            limits.memory_bytes,
            limits.cpu_seconds,
        )
        try:
            socket.send_fds(self._socket, [request], worker.descriptors)
        except OSError as error:
            raise self._died() from error
        outcome, value = self._answer(number, _ANSWER_SECONDS)
        if outcome != Outcome.OPENED:
            raise SandboxError(f"the sandbox could not fork a worker: {os.strerror(value)}")

    def end(self, number: int) -> int | None:
        """End a worker; its wait status, or None when the server is gone."""
        if not self.alive or not self._ready:
            return None
        try:
            self._socket.sendall(CONTROL.pack(Operation.END, number, 0, 0, 0, 0, 0, 0))
            return self._answer(number, _ANSWER_SECONDS)[1]
        except (OSError, SandboxError):
            return None

    def close(self) -> None:
        self._socket.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def wait_ready(self) -> None:
        """Wait until torch is loaded and a first worker has been tried."""
        if self._ready:
            return
        _, threads = self._answer(0, _START_SECONDS)
        if threads != 1:
            raise SandboxError(f"the sandbox's server has {threads} threads, and cannot fork safely")
        _, flags = self._answer(0, _ANSWER_SECONDS)
        self.confinement = names_of(flags)
        self._ready = True

    def _answer(self, number: int, seconds: float) -> tuple[int, int]:
        raw = b""
        while len(raw) < OUTCOME.size:
            if not select.select([self._socket], [], [], seconds)[0]:
                self._process.kill()  # what it says later would be taken for the answer to something else
                raise SandboxError(f"the sandbox's server did not answer within {seconds:g} s")
            try:
                more = self._socket.recv(OUTCOME.size - len(raw))
            except ConnectionError:
                more = b""
            if not more:
                raise self._died()
            raw += more
        outcome, answered, value = OUTCOME.unpack(raw)
        if answered != number:
            self._process.kill()
            raise SandboxError("the sandbox's server answered something else than it was asked")
        return outcome, value

    def _died(self) -> SandboxError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        how = f"exit status {self._process.returncode}" + self.said()
        return SandboxError(f"the sandbox's server died ({how})")

    def said(self) -> str:
        """The end of what it wrote to its standard error, led in by a colon; empty where there is none."""
        self._log.seek(0)
        text = self._log.read()[-2000:].decode("utf-8", "replace").strip()
        return f": {text}" if text else ""


def layers() -> list[LayerReport]:
    """Which layers are in force on this machine, found by confining a process.

    Raises:
        SandboxError: the server could not be started.
    """
    with Sandbox(level="basic") as box:
        return reports(box.confinement)
