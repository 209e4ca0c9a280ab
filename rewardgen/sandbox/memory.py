"""Memory shared with a worker: an area that it can only read and one that it can write but not resize.

On Linux both are sealed memfds. Elsewhere they are temporary files without a name, or, on Windows, that go with their
last handle; the worker gets a read-only descriptor of its input. The parent maps only the input area, and reads the
output area by copying, so that nothing a worker does to its own areas can stop or surprise the parent. Windows cannot
read at an offset, but lets nobody cut a mapped file short: there the copy is made from a map.
"""

from __future__ import annotations

import mmap
import os
import tempfile

import torch
from torch import Tensor

from rewardgen.sandbox.protocol import FLOAT, Areas

_ADD_SEALS = 1033
_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW, _SEAL_FUTURE_WRITE = 0x1, 0x2, 0x4, 0x10


class InputArea:
    """Transitions for a worker, written here and read there. ``descriptor`` is the worker's end, read-only."""

    def __init__(self, shape: Areas, program: bytes) -> None:
        writable, self.descriptor = _create("rewardgen-input", shape.input_bytes)
        try:
            self._map = mmap.mmap(writable, shape.input_bytes)
            if writable == self.descriptor:
                # from here on nobody can map it writable or write to it, the mapping above excepted
                _seal(writable, _SEAL_SHRINK | _SEAL_GROW | _SEAL_FUTURE_WRITE | _SEAL_SEAL)
        except BaseException:
            os.close(self.descriptor)
            raise
        finally:
            if writable != self.descriptor:
                os.close(writable)
        self._map[shape.floats * FLOAT :] = program
        self.states, self.actions, self.next_states = matrices(self._map, shape)

    def close(self) -> None:
        """Let go of the area; the tensors over it keep it mapped while they live."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        del self.states, self.actions, self.next_states, self._map


class OutputArea:
    """What a worker gave. ``descriptor`` is the worker's end, read-write but of fixed size."""

    def __init__(self, shape: Areas) -> None:
        self.descriptor, other = _create("rewardgen-output", shape.output_bytes)
        self._map: mmap.mmap | None = None
        try:
            if not hasattr(os, "preadv"):
                self._map = mmap.mmap(other, shape.output_bytes, access=mmap.ACCESS_READ)
            if other == self.descriptor:
                _seal(self.descriptor, _SEAL_SHRINK | _SEAL_GROW | _SEAL_SEAL)
        except BaseException:
            os.close(self.descriptor)
            raise
        finally:
            if other != self.descriptor:
                os.close(other)

    def read(self, start: int, size: int) -> bytearray:
        """A private copy of ``size`` bytes from ``start``; shorter where the area has been cut short."""
        if self._map is not None:
            return bytearray(self._map[start : start + size])
        copy = bytearray(size)
        count = os.preadv(self.descriptor, [copy], start) if size else 0
        del copy[count:]
        return copy

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        if self._map is not None:
            self._map.close()
            self._map = None


def temporary(name: str, size: int) -> tuple[int, int]:
    """Descriptors, of separate positions, to write and to read a fresh file that nobody finds by name later."""
    with tempfile.NamedTemporaryFile(prefix=name, buffering=0) as file:
        file.truncate(size)
        # Windows refuses a second opening that does not ask for the file's end along with its last handle, too
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_TEMPORARY", 0) | getattr(os, "O_NOINHERIT", 0)
        reader = os.open(file.name, flags)
        try:
            return os.dup(file.fileno()), reader
        except BaseException:
            os.close(reader)
            raise


def matrices(area: mmap.mmap, shape: Areas) -> tuple[Tensor, Tensor, Tensor]:
    """The states, actions and next states in an input area, as views."""

    def view(start: int, columns: int) -> Tensor:
        count = shape.capacity * columns
        if count == 0:
            return torch.zeros(shape.capacity, columns)
        return torch.frombuffer(area, dtype=torch.float32, count=count, offset=start).view(shape.capacity, columns)

    states = shape.capacity * shape.width * FLOAT
    actions = shape.capacity * shape.action_size * FLOAT
    return view(0, shape.width), view(states, shape.action_size), view(states + actions, shape.width)


def _create(name: str, size: int) -> tuple[int, int]:
    """Descriptors of a fresh area to write and to read it: the same one for a memfd, which seals will protect."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, size)
        return descriptor, descriptor
    return temporary(name, size)


def _seal(descriptor: int, seals: int) -> None:
    import fcntl  # here, because Windows has none and imports this file all the same

    fcntl.fcntl(descriptor, _ADD_SEALS, seals)
