"""The sandbox: what starts workers (a fork server, or one fresh process for each), and those that were opened."""

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
    """How workers' processes come to be and end."""

    confinement: tuple[str, ...]  # the layers in force, known when it is ready

    @property
    def alive(self) -> bool: ...

    def wait_ready(self) -> None: ...

    def open(self, number: int, worker: Worker, limits: SandboxLimits) -> None: ...

    def end(self, number: int) -> int | None: ...

    def said(self) -> str: ...

    def close(self) -> None: ...


class Sandbox:
    """Runs reward programs in processes of their own. A context manager; use from one thread.

    What starts them (the server) starts when the sandbox is entered and is waited for when the first worker is opened.
    """

    def __init__(
        self,
        limits: SandboxLimits | None = None,
        level: Level | None = None,
        way: Callable[[], Way] = ForkServer if hasattr(os, "fork") else Spawner,
    ) -> None:
        """``level``: strict refuses to run with a required layer missing, basic makes do; strict is Linux's default.

        ``way``: how processes come to be, forked or spawned; by default as the system can.
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
            """The process's exit code; None when the server is gone. Only the first call asks for it."""
            if number not in statuses:
                statuses[number] = server.end(number)
                self._workers.discard(worker)
            return statuses[number]

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
        self.rest()

    def rest(self) -> None:
        """End the server and every worker for now: opening the next worker starts a server again."""
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
        if self._server is not None and not self._server.alive:
            self._server.close()
            self._server = None
        if self._server is None:
            self._server = self._way()
        return self._server


def layers() -> list[LayerReport]:
    """Which layers are in force on this machine, found by confining a process.

    Raises:
        SandboxError: the server could not be started.
    """
    with Sandbox(level="basic") as box:
        return reports(box.confinement)
