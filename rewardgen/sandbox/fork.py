"""Start workers by forking a server that has torch loaded: the parent's end. Used wherever the system can fork."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import tempfile
from typing import IO

from rewardgen.errors import SandboxError
from rewardgen.sandbox.fresh import said, start
from rewardgen.sandbox.layers import names_of
from rewardgen.sandbox.protocol import CONTROL, OUTCOME, Operation, ServerAnswer
from rewardgen.sandbox.worker import START_SECONDS, SandboxLimits, Worker

_ANSWER_SECONDS = 30.0

_BOOTSTRAP = """
from rewardgen.sandbox.namespaces import enter
entered = enter(parent=arguments[0], control=descriptors[0])
from rewardgen.sandbox.server import serve
serve(descriptors[0], entered)
"""


class ForkServer:
    """Start the fork server and talk to it over a socket.

    ``confinement``: the names of the layers in force, known after ``wait_ready``.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the server
        self._ready = False
        self.confinement: tuple[str, ...] = ()
        try:
            self._process = start(_BOOTSTRAP, [theirs.fileno()], [os.getpid()], self._log)
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
        hung_up = select.poll()  # the keeper process may end a moment after the server
        hung_up.register(self._socket, 0)  # POLLHUP is always reported
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
        if outcome != ServerAnswer.OPENED:
            raise SandboxError(f"the sandbox could not fork a worker: {os.strerror(value)}")

    def end(self, number: int) -> int | None:
        """End a worker. Return its exit code (minus a signal's number), or None if the server is gone."""
        if not self.alive or not self._ready:
            return None
        try:
            self._socket.sendall(CONTROL.pack(Operation.END, number, 0, 0, 0, 0, 0, 0))
            return os.waitstatus_to_exitcode(self._answer(number, _ANSWER_SECONDS)[1])
        except (OSError, SandboxError):
            return None

    def close(self) -> None:
        # The server ends when its end of the socket is closed
        self._socket.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def wait_ready(self) -> None:
        """Wait until torch is loaded and a first worker has been confined as a probe.

        Raises:
            SandboxError: the server died, took too long, or has more than one thread.
        """
        if self._ready:
            return
        # The server sends two messages: its number of threads, then the layers that a probe found
        _, threads = self._answer(0, START_SECONDS)
        # fork copies only the calling thread: a lock that another one holds would stay locked in the worker
        if threads != 1:
            raise SandboxError(
                f"the sandbox's server has {threads} threads and cannot fork safely; torch, or something that Python "
                f"loads when it starts, began them{self.said()}"
            )
        _, flags = self._answer(0, _ANSWER_SECONDS)
        self.confinement = names_of(flags)
        self._ready = True

    def _answer(self, number: int, seconds: float) -> tuple[int, int]:
        raw = b""
        while len(raw) < OUTCOME.size:
            if not select.select([self._socket], [], [], seconds)[0]:
                self._process.kill()  # a late answer would be taken for the answer to a later request
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
        """Return the end of the server's standard error after a colon; empty if there is none."""
        return said(self._log)
