"""The parent's ends of a worker's three channels: requests to it, its answers, and what its program prints.

A worker may refuse to read, say nothing, or say too much; nothing here waits for it longer than it is told to.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import threading
import time
from abc import ABC, abstractmethod

from rewardgen.sandbox.memory import temporary

PIPE_BYTES = 2**16  # that a pipe holds at most
_GRACE_SECONDS = 0.5  # in which a thread reads what is there already
_JOIN_SECONDS = 5.0


class Wire(ABC):
    """Descriptors. ``theirs`` are the worker's ends of requests, answers and prints."""

    def __init__(self) -> None:
        with contextlib.ExitStack() as undo:  # a process may run out of descriptors anywhere in here
            requests, self._requests = _closed_by(undo, os.pipe())
            self._answers, answers = _closed_by(undo, os.pipe())
            self._prints, prints = _closed_by(undo, self._open_prints())
            undo.pop_all()
        self.theirs = [requests, answers, prints]

    def handed_over(self) -> None:
        """The worker has its ends; close ours of them, so that its end is seen here."""
        while self.theirs:
            os.close(self.theirs.pop())

    def printed(self) -> bytes:
        """What has been printed since the last time, ``PIPE_BYTES`` of it at most; does not wait."""
        try:
            return os.read(self._prints, PIPE_BYTES)
        except OSError:  # most of the time there is nothing
            return b""

    def close(self) -> None:
        """Close everything. The worker's process has ended."""
        self.handed_over()
        for descriptor in (self._requests, self._answers, self._prints):
            os.close(descriptor)

    @abstractmethod
    def send(self, request: bytes) -> None:
        """Write a request as far as there is room for it. That a worker is gone is found out by ``receive``."""

    @abstractmethod
    def receive(self, size: int, deadline: float) -> bytes:
        """Wait for ``size`` bytes until ``time.monotonic()`` is at ``deadline``; fewer where the worker ends.

        Raises:
            TimeoutError: they did not come. What came of them is lost.
        """

    @abstractmethod
    def _open_prints(self) -> tuple[int, int]:
        """Descriptors to read and to write what is printed, neither of which ever waits."""


class PolledWire(Wire):
    """Pipes that are polled, and that nobody is blocked by."""

    def __init__(self) -> None:
        super().__init__()
        for descriptor in (self._requests, self._answers, self._prints, self.theirs[2]):
            os.set_blocking(descriptor, False)  # the last so that a program's flood stops the program from nothing

    def send(self, request: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._requests, request)

    def receive(self, size: int, deadline: float) -> bytes:
        raw = b""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        while len(raw) < size:
            wait = deadline - time.monotonic()
            if not poll.poll(max(0.0, wait) * 1000):
                raise TimeoutError
            try:
                more = os.read(self._answers, size - len(raw))
            except BlockingIOError:
                continue
            if not more:
                break
            raw += more
        return raw

    def _open_prints(self) -> tuple[int, int]:
        return os.pipe()


class ThreadedWire(Wire):
    """Pipes that can neither be polled nor kept from blocking, as on Windows: threads wait in our place.

    What is printed goes to a file, which never blocks.
    """

    def __init__(self) -> None:
        super().__init__()
        self._outgoing: queue.Queue[bytes | None] = queue.Queue(maxsize=1)
        self._writer = threading.Thread(target=_write, args=(self._requests, self._outgoing), daemon=True)
        self._reader = threading.Thread()

    def send(self, request: bytes) -> None:
        if self._writer.ident is None:
            self._writer.start()
        with contextlib.suppress(queue.Full):  # the worker has not taken the last one, and its answers are made up
            self._outgoing.put_nowait(request)

    def receive(self, size: int, deadline: float) -> bytes:
        raw = bytearray()
        self._reader = threading.Thread(target=_read, args=(self._answers, raw, size), daemon=True)
        self._reader.start()
        self._reader.join(max(_GRACE_SECONDS, deadline - time.monotonic()))
        if self._reader.is_alive():
            raise TimeoutError
        return bytes(raw)

    def close(self) -> None:
        self.handed_over()  # so that the threads see that the worker is gone
        if self._writer.is_alive():
            with contextlib.suppress(queue.Full):
                self._outgoing.put(None, timeout=_JOIN_SECONDS)
        for descriptor, thread in ((self._requests, self._writer), (self._answers, self._reader), (self._prints, None)):
            if thread is not None and thread.is_alive():
                thread.join(_JOIN_SECONDS)
                if thread.is_alive():  # something holds the pipe open: rather lose a descriptor than read another's
                    continue
            os.close(descriptor)

    def _open_prints(self) -> tuple[int, int]:
        writer, reader = temporary("rewardgen-prints", 0)
        return reader, writer


def open_wire() -> Wire:
    """The kind that this system has."""
    return PolledWire() if hasattr(select, "poll") else ThreadedWire()


def _closed_by(undo: contextlib.ExitStack, ends: tuple[int, int]) -> tuple[int, int]:
    for descriptor in ends:
        undo.callback(os.close, descriptor)
    return ends


def _write(descriptor: int, outgoing: queue.Queue[bytes | None]) -> None:
    """Write what comes, until None does."""
    while (request := outgoing.get()) is not None:
        with contextlib.suppress(OSError):
            os.write(descriptor, request)


def _read(descriptor: int, raw: bytearray, size: int) -> None:
    with contextlib.suppress(OSError):
        while len(raw) < size:
            more = os.read(descriptor, size - len(raw))
            if not more:
                return
            raw += more
