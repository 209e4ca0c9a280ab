"""Hold the parent's ends of a worker's three channels: requests, answers, and what the program prints.

A worker may not read, not write, or write too much; no call here waits for it past its deadline.
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

PIPE_BYTES = 2**16  # capacity of a pipe
_GRACE_SECONDS = 0.5  # for a thread to read what has arrived already
_JOIN_SECONDS = 5.0


class Wire(ABC):
    """Own the descriptors of the channels. ``theirs``: the worker's ends of requests, answers and prints."""

    def __init__(self) -> None:
        with contextlib.ExitStack() as undo:  # a process may run out of descriptors anywhere in here
            requests, self._requests = _closed_by(undo, os.pipe())
            self._answers, answers = _closed_by(undo, os.pipe())
            self._prints, prints = _closed_by(undo, self._open_prints())
            undo.pop_all()
        self.theirs = [requests, answers, prints]

    def handed_over(self) -> None:
        """Close our copies of the worker's ends, so that we notice when the worker ends."""
        while self.theirs:
            os.close(self.theirs.pop())

    def printed(self) -> bytes:
        """Return up to ``PIPE_BYTES`` printed since the last call; does not block."""
        try:
            return os.read(self._prints, PIPE_BYTES)
        except OSError:  # usually nothing was printed
            return b""

    def close(self) -> None:
        """Close everything. The worker's process has ended."""
        self.handed_over()
        for descriptor in (self._requests, self._answers, self._prints):
            os.close(descriptor)

    @abstractmethod
    def send(self, request: bytes) -> None:
        """Write a request without blocking. Errors are ignored: ``receive`` notices that a worker is gone."""

    @abstractmethod
    def receive(self, size: int, deadline: float) -> bytes:
        """Wait for ``size`` bytes until ``time.monotonic()`` reaches ``deadline``; fewer if the worker ends.

        Raises:
            TimeoutError: the deadline passed. Bytes received so far are lost.
        """

    @abstractmethod
    def _open_prints(self) -> tuple[int, int]:
        """Open non-blocking descriptors to read and to write what is printed."""


class PolledWire(Wire):
    """Use non-blocking pipes and poll."""

    def __init__(self) -> None:
        super().__init__()
        for descriptor in (self._requests, self._answers, self._prints, self.theirs[2]):
            os.set_blocking(descriptor, False)  # theirs[2]: a program that prints too much must not block

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
            # poll may wake up although nothing can be read
            except BlockingIOError:
                continue
            if not more:
                break
            raw += more
        return raw

    def _open_prints(self) -> tuple[int, int]:
        return os.pipe()


class ThreadedWire(Wire):
    """Use blocking pipes and threads, for systems without poll such as Windows.

    Prints go to a file, which never blocks.
    """

    def __init__(self) -> None:
        super().__init__()
        self._outgoing: queue.Queue[bytes | None] = queue.Queue(maxsize=1)
        self._writer = threading.Thread(target=_write, args=(self._requests, self._outgoing), daemon=True)
        self._reader = threading.Thread()

    def send(self, request: bytes) -> None:
        if self._writer.ident is None:
            self._writer.start()
        with contextlib.suppress(queue.Full):  # the worker has not read the last one, so its answers were forged
            self._outgoing.put_nowait(request)

    def receive(self, size: int, deadline: float) -> bytes:
        raw = bytearray()
        # A new reader per answer: one that timed out is still blocked in its read
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
                if thread.is_alive():  # leak a descriptor rather than let the thread read from a reused one
                    continue
            os.close(descriptor)

    def _open_prints(self) -> tuple[int, int]:
        writer, reader = temporary("rewardgen-prints", 0)
        return reader, writer


def open_wire() -> Wire:
    """Open the kind of wire that this system supports."""
    return PolledWire() if hasattr(select, "poll") else ThreadedWire()


def _closed_by(undo: contextlib.ExitStack, ends: tuple[int, int]) -> tuple[int, int]:
    for descriptor in ends:
        undo.callback(os.close, descriptor)
    return ends


def _write(descriptor: int, outgoing: queue.Queue[bytes | None]) -> None:
    """Write requests to ``descriptor`` until None arrives."""
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
