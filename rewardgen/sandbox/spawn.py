"""Start each worker as a new process, for systems that cannot fork: the parent's end.

Each worker loads torch itself, which takes a second or more; ``open`` does not wait for that, and the program's clock
starts when the worker is ready. It is confined by the same layers as a forked worker, where the kernel has them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import IO

from rewardgen.errors import SandboxError
from rewardgen.sandbox.fresh import said, start
from rewardgen.sandbox.layers import names_of
from rewardgen.sandbox.protocol import FLAGS
from rewardgen.sandbox.worker import START_SECONDS, SandboxLimits, Worker

if sys.platform == "win32":
    from rewardgen.sandbox.windows import JobObject

_END_SECONDS = 30.0

_WORKER = """
from rewardgen.sandbox.child import spawned
spawned(descriptors, arguments)
"""
_PROBE = """
from rewardgen.sandbox.confine import probe
probe(arguments[0], (), None, 0, descriptors[0])
"""


class Spawner:
    """Start and end workers. ``confinement``: the layers that a probe, started at once, found in force."""

    def __init__(self) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this
        self._started: dict[int, _Process] = {}
        self._ready = False
        self.confinement: tuple[str, ...] = ()
        self._found, sending = os.pipe()
        try:
            self._started[0] = self._start(_PROBE, [sending], [os.getpid()])
        except BaseException:
            os.close(self._found)
            self._log.close()
            raise
        finally:
            os.close(sending)

    @property
    def alive(self) -> bool:
        return True  # there is no server that could die

    def wait_ready(self) -> None:
        """Wait until the probe process has been confined.

        Raises:
            SandboxError: it failed or took too long.
        """
        if self._ready:
            return
        probe = self._started[0].python
        try:
            probe.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            raise SandboxError(f"a sandbox worker was not ready within {START_SECONDS:g} s{self.said()}") from None
        raw = os.read(self._found, FLAGS.size)
        if len(raw) != FLAGS.size:
            raise SandboxError(f"sandbox workers cannot be started (exit status {probe.returncode}{self.said()})")
        self.end(0)
        self.confinement = names_of(FLAGS.unpack(raw)[0])
        self._ready = True

    def open(self, number: int, worker: Worker, limits: SandboxLimits) -> None:
        shape = worker.shape
        sizes = [shape.capacity, shape.width, shape.action_size, shape.program]
        use = [limits.memory_bytes, limits.cpu_seconds, os.getpid()]
        self._started[number] = self._start(_WORKER, worker.descriptors, [*sizes, *use])

    def end(self, number: int) -> int | None:
        """End a worker and its children; return the exit code, or minus the number of the signal that ended it."""
        process = self._started.pop(number, None)
        return process.end() if process is not None else None

    def close(self) -> None:
        for number in list(self._started):
            self.end(number)
        os.close(self._found)
        self._log.close()

    def said(self) -> str:
        """Return the end of what processes wrote to standard error before they were confined."""
        return said(self._log)

    def _start(self, code: str, descriptors: list[int], arguments: list[int]) -> _Process:
        try:
            python = start(code, descriptors, arguments, self._log)
        except OSError as error:
            raise SandboxError(f"a sandbox worker could not be started: {error}") from error
        process = _Process(python)
        try:
            if sys.platform == "win32":
                # no program runs before this: starting Python takes milliseconds, loading torch far longer
                process.job = JobObject(int(getattr(python, "_handle")))  # noqa: B009 - the type stubs do not name it
        except OSError as error:
            python.kill()
            raise SandboxError(f"a sandbox worker could not be put into a job object: {error}") from error
        return process


@dataclass
class _Process:
    """A worker process, and on Windows the job object that ends it."""

    python: subprocess.Popen[bytes]
    if sys.platform == "win32":
        job: JobObject | None = None

    def end(self) -> int:
        if sys.platform == "win32":
            if self.job is not None:
                self.job.end()
        elif hasattr(os, "killpg") and self.python.returncode is None:  # unreaped: its id is not reused
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.python.pid, signal.SIGKILL)
        if self.python.poll() is None:
            self.python.kill()
        return self.python.wait(_END_SECONDS)
