"""Own the sandbox: the process starter (a fork server, or one new process per worker) and the open workers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from rewardgen.errors import SandboxError
from rewardgen.records import Layout, RewardProgram
from rewardgen.sandbox.fork import ForkServer
from rewardgen.sandbox.layers import (
    LayerReport,
    Level,
    default_level,
    missing,
    refusal,
    reports,
    surrender,
)
from rewardgen.sandbox.spawn import Spawner
from rewardgen.sandbox.worker import SandboxLimits, Worker


class Way(Protocol):
    """Start and end worker processes; implemented by ``ForkServer`` and ``Spawner``."""

    confinement: tuple[str, ...]  # the layers in force, known after wait_ready

    @property
    def alive(self) -> bool: ...

    def wait_ready(self) -> None: ...

    def open(self, number: int, worker: Worker, limits: SandboxLimits) -> None: ...

    def end(self, number: int) -> int | None: ...

    def said(self) -> str: ...

    def close(self) -> None: ...


class Sandbox:
    """Run reward programs in processes of their own. A context manager; use from one thread.

    The server that starts them is launched when the sandbox is entered and awaited when the first worker is opened.
    """

    def __init__(
        self,
        limits: SandboxLimits | None = None,
        level: Level | None = None,
        way: Callable[[], Way] = ForkServer if hasattr(os, "fork") else Spawner,
    ) -> None:
        """Configure the sandbox; nothing is started yet.

        Args:
            limits: what each program may use.
            level: strict refuses to run if a required layer is missing, basic does not; strict by default on Linux.
            way: starts processes, by fork or spawn; by default fork where the system has it.
        """
        self.limits = limits or SandboxLimits()
        self.level: Level = level or default_level()
        self._way = way
        self._server: Way | None = None
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

        Returns as soon as the process exists: errors of the program are raised by the first ``result``.

        Raises:
            SandboxError: the server or the worker could not be started, or a layer that ``strict`` requires is missing.
            ValueError: ``capacity`` is below 1.
        """
        if capacity < 1:
            raise ValueError(f"a worker needs a capacity of at least 1, not {capacity}")
        server = self._ready_server()
        self._next += 1
        number = self._next

        def end() -> int | None:
            """End the process; return its exit code, or None if the server is gone. Later calls return the same."""
            if number not in statuses:
                statuses[number] = server.end(number)
                self._workers.discard(worker)
            return statuses[number]

        # The worker may ask several times how it ended; a process can be reaped only once
        statuses: dict[int, int | None] = {}
        try:
            worker = Worker(program, layout, action_size, capacity, self.limits, self.level, end, server.said)
        except OSError as error:
            raise SandboxError(f"no shared memory for a sandbox worker: {error}; free some or open fewer") from error
        try:
            server.open(number, worker, self.limits)
        except BaseException:
            worker.close()
            raise
        # The process holds its descriptors now; the parent must close its copies to notice the end
        worker.started()
        self._workers.add(worker)
        return worker

    @property
    def confinement(self) -> tuple[str, ...]:
        """Return the names of the layers in force, as a probe found them; waits for the server.

        Raises:
            SandboxError: the server could not be started, or a layer that ``strict`` asks for is missing.
        """
        return self._ready_server().confinement

    @property
    def notice(self) -> str:
        """Describe in a sentence which protection is missing on this machine; empty if none is."""
        return surrender(self.confinement)

    def close(self) -> None:
        """End the server and every worker. May be called twice."""
        self._closed = True
        self.rest()

    def rest(self) -> None:
        """End the server and every worker for now; opening the next worker starts a new server."""
        # A copy: closing a worker removes it from the set
        for worker in list(self._workers):
            worker.close()
        if self._server is not None:
            self._server.close()
            self._server = None

    def _ready_server(self) -> Way:
        server = self._ensure_server()
        server.wait_ready()
        if self.level == "strict" and (absent := missing(server.confinement)):
            raise SandboxError(refusal(absent) + server.said())
        return server

    def _ensure_server(self) -> Way:
        if self._closed:
            raise SandboxError("the sandbox is closed")
        # A server that died (killed by the user or for lack of memory) is replaced
        if self._server is not None and not self._server.alive:
            self._server.close()
            self._server = None
        if self._server is None:
            self._server = self._way()
        return self._server


def layers() -> list[LayerReport]:
    """Report which layers are in force on this machine, by confining a process.

    Raises:
        SandboxError: the server could not be started.
    """
    with Sandbox(level="basic") as box:
        return reports(box.confinement)
