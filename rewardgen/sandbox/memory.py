"""Share memory with a worker: an area that it can only read and one that it can write but not resize.

On Linux both are sealed memfds. Elsewhere they are unlinked temporary files (on Windows, files deleted with their last
handle), and the worker gets a read-only descriptor of its input. The parent maps only the input area and reads the
output area by copying, so that a worker that changes or truncates its areas cannot crash the parent. Windows has no
positioned read, but a mapped file cannot be truncated there, so the copy is made from a map.
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
    """Hold the transitions and the program for a worker. ``descriptor`` is the worker's end, read-only."""

    def __init__(self, shape: Areas, program: bytes) -> None:
        writable, self.descriptor = _create("rewardgen-input", shape.input_bytes)
        try:
            self._map = mmap.mmap(writable, shape.input_bytes)
            if writable == self.descriptor:
                # from here on it cannot be written or mapped writable, except through the mapping above
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
        """Release the area; it stays mapped while tensors over it exist."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        del self.states, self.actions, self.next_states, self._map


class OutputArea:
    """Hold a worker's results. ``descriptor`` is the worker's end, writable but of fixed size."""

    def __init__(self, shape: Areas) -> None:
        self.descriptor, other = _create("rewardgen-output", shape.output_bytes)
        self._map: mmap.mmap | None = None
        try:
            # Without a positioned read (Windows), copy from a read-only map
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
        """Return a private copy of ``size`` bytes from offset ``start``; fewer if the area was truncated."""
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
    """Open a new unnamed file twice, with separate positions; return the descriptors to write and to read it."""
    with tempfile.NamedTemporaryFile(prefix=name, buffering=0) as file:
        file.truncate(size)
        # Windows refuses a second open without the delete-on-close flag that the first has
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_TEMPORARY", 0) | getattr(os, "O_NOINHERIT", 0)
        reader = os.open(file.name, flags)
        try:
            return os.dup(file.fileno()), reader
        except BaseException:
            os.close(reader)
            raise


def matrices(area: mmap.mmap, shape: Areas) -> tuple[Tensor, Tensor, Tensor]:
    """Return views of the states ``(capacity, width)``, actions ``(capacity, action_size)`` and next states."""

    def view(start: int, columns: int) -> Tensor:
        count = shape.capacity * columns
        # torch.frombuffer refuses a count of 0
        if count == 0:
            return torch.zeros(shape.capacity, columns)
        return torch.frombuffer(area, dtype=torch.float32, count=count, offset=start).view(shape.capacity, columns)

    states = shape.capacity * shape.width * FLOAT
    actions = shape.capacity * shape.action_size * FLOAT
    return view(0, shape.width), view(states, shape.action_size), view(states + actions, shape.width)


def _create(name: str, size: int) -> tuple[int, int]:
    """Create an area; return descriptors to write and to read it: the same one for a memfd, which seals protect."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, size)
        return descriptor, descriptor
    return temporary(name, size)


def _seal(descriptor: int, seals: int) -> None:
    import fcntl  # here, because Windows lacks it and imports this file too

    fcntl.fcntl(descriptor, _ADD_SEALS, seals)
