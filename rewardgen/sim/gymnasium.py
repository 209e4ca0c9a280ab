"""Simulate worlds as Gymnasium environments of any kind, stepped in worker processes."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from rewardgen.errors import SimulationFailed
from rewardgen.sim.base import Simulator

_WORKER = Path(__file__).with_name("gymnasium_worker.py")
# An environment's process gets what programs need to start and to draw, and none of the keys that a person may keep in
# environment variables.
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TEMP",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
    "DISPLAY",
    "MUJOCO_GL",
)
GRACE = 60.0
"""Seconds added to the step limit, for a process to import packages and make its environments."""
_LONGEST_MESSAGE = 1 << 16  # bytes
_MAX_SIDE = 4096  # pixels of a picture


@dataclass(frozen=True)
class Source:
    """Select the numbers ``start`` to ``stop`` (exclusive) of the observation or info entry at ``path``."""

    path: tuple[str, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class EnvironmentSpec:
    """Specify the call of ``gymnasium.make`` and the Python that makes it.

    Args:
        id: the environment's name.
        arguments: further arguments of ``gymnasium.make``.
        imports: modules that register the environment when they are imported.
        python: the interpreter; None is this one.
        folder: an additional folder to import modules from.
        sources: quantities to return besides the observation.
        step_seconds: seconds after which a step or a reset of one environment counts as hanging.
        pictures: make the environments with the render mode "rgb_array".
    """

    id: str
    arguments: dict[str, Any] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    python: str | None = None
    folder: str | None = None
    sources: tuple[Source, ...] = ()
    step_seconds: float = 60.0
    pictures: bool = False


class GymnasiumSim(Simulator):
    """Step ``num_worlds`` environments, divided among ``workers`` processes.

    Its fields are ``observation`` ``(n, O)``, flattened as Gymnasium does it, ``quantities`` ``(n, Q)``, the spec's
    sources one after another, and ``reward``, ``terminated`` and ``truncated`` ``(n,)``, all float32.

    Raises:
        SimulationFailed: the interpreter or the environment cannot be started; the message quotes its error.
    """

    def __init__(self, spec: EnvironmentSpec, num_worlds: int, workers: int = 1) -> None:
        self.num_worlds = num_worlds
        self.device = torch.device("cpu")
        self.dtype = torch.float64  # of the values drawn for resets: seeds need more digits than float32 has
        self._spec = spec
        self._workers: list[_Worker] = []
        # Not __del__: the collector may finalise the pipes before this object
        self._end = weakref.finalize(self, _end_all, self._workers)
        bounds = np.linspace(0, num_worlds, min(max(1, workers), num_worlds) + 1).astype(int).tolist()
        try:
            # Start all processes before waiting for the first: imports take seconds
            for first, last in itertools.pairwise(bounds):
                self._workers.append(_Worker(spec, first, last))
            self.about, *_ = [worker.hello() for worker in self._workers]
        except BaseException:
            self.close()
            raise
        # Columns: observation, quantities, reward, terminated, truncated
        self._rows = torch.zeros(num_worlds, self.about["columns"])
        size = self.about["observation_size"]
        self._columns = {"observation": slice(0, size), "quantities": slice(size, -3)}
        self._flags = {"reward": -3, "terminated": -2, "truncated": -1}

    def field(self, name: str) -> Tensor:
        if name in self._columns:
            return self._rows[:, self._columns[name]]
        if name in self._flags:
            return self._rows[:, self._flags[name]]
        raise SimulationFailed(
            f"an environment of Gymnasium has no field {name!r}; there are {', '.join([*self._columns, *self._flags])}"
        )

    def step(self, ctrl: Tensor, nstep: int) -> None:
        # Send to all workers first, so that they step in parallel
        actions = ctrl.to(torch.float32).contiguous().numpy()
        for worker in self._workers:
            worker.send(b"S" + actions[worker.first : worker.last].astype("<f4").tobytes())
        self._receive(self._workers)

    def diverged(self) -> Tensor:
        return ~self._rows.isfinite().all(-1)

    def absent(self) -> list[Source]:
        """List the sources that no reset or step has provided so far; they read as zeros."""
        found = [worker.found(len(self._spec.sources)) for worker in self._workers]
        return [source for number, source in enumerate(self._spec.sources) if not any(each[number] for each in found)]

    def reset(self, ids: Tensor) -> None:
        """Do nothing: environments are reset with a seed, by ``begin``."""

    def begin(self, ids: Tensor, seeds: Tensor) -> None:
        """Reset the worlds ``ids`` ``(k,)``, each with its own seed ``(k,)`` int64."""
        busy = []
        for worker in self._workers:
            mine = (ids >= worker.first) & (ids < worker.last)
            if mine.any():
                worlds = (ids[mine] - worker.first).numpy().astype("<i4")
                message = (
                    struct.pack("<i", len(worlds)) + worlds.tobytes() + seeds[mine].numpy().astype("<i8").tobytes()
                )
                worker.send(b"R" + message)
                busy.append(worker)
        self._receive(busy)

    def forward(self, ids: Tensor) -> None:
        """Do nothing: a reset already returned the state."""

    def render(self, world: int, width: int = 480, height: int = 360) -> np.ndarray:
        picture = Image.fromarray(self.picture(world))
        return np.asarray(ImageOps.pad(picture, (width, height), color="white"))

    def picture(self, world: int) -> np.ndarray:
        """What the environment's own ``render`` gives of one world, ``(height, width, 3)`` uint8 of any size.

        Raises:
            SimulationFailed: it gives none; the message quotes its error.
        """
        worker = next(each for each in self._workers if each.first <= world < each.last)
        return worker.picture(world - worker.first)

    def close(self) -> None:
        """End the processes."""
        self._end()

    def _receive(self, workers: Sequence[_Worker]) -> None:
        width = self._rows.shape[1]
        for worker in workers:
            content = worker.receive(4 * width * (worker.last - worker.first))
            rows = np.frombuffer(content, "<f4").reshape(-1, width)
            self._rows[worker.first : worker.last] = torch.from_numpy(rows.astype(np.float32))


def _end_all(workers: list[_Worker]) -> None:
    while workers:
        workers.pop().close()


class Deadline:
    """Kill ``process`` if a block that waits for it takes longer than ``seconds``."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.seconds = seconds
        self.passed = False
        self._process = process
        self._began: float | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        self._began = time.monotonic()
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._began = None

    def _watch(self) -> None:
        while self._process.poll() is None:
            # Read once: the main thread may clear it at any time
            began = self._began
            if began is not None and time.monotonic() - began > self.seconds:
                self.passed = True
                self._process.kill()
                return
            time.sleep(min(1.0, self.seconds / 4))


class _Worker:
    """Own one process with the worlds ``first`` to ``last`` (exclusive)."""

    def __init__(self, spec: EnvironmentSpec, first: int, last: int) -> None:
        self.first, self.last = first, last
        self._what = f"{spec.id} in {spec.python or 'this Python'}"
        command = [spec.python or sys.executable, "-I", str(_WORKER)]
        # The environment variables are an allowlist: no API key reaches third-party code
        kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=kept
            )
        except OSError as error:
            raise SimulationFailed(f"the interpreter {command[0]} cannot be started: {error.strerror}") from error
        settings = {
            "id": spec.id,
            "arguments": spec.arguments,
            "imports": list(spec.imports),
            "folder": spec.folder,
            "count": last - first,
            "sources": [asdict(source) for source in spec.sources],
            "step_seconds": spec.step_seconds,
            "pictures": spec.pictures,
        }
        # The process has a watchdog of its own, which cannot run while native code holds the interpreter lock
        self._deadline = Deadline(self._process, spec.step_seconds * (last - first) + GRACE)
        self.send(json.dumps(settings).encode() + b"\n")

    def hello(self) -> dict[str, Any]:
        """Read the properties of the environments, which the process sends first.

        Raises:
            SimulationFailed: the environments could not be made.
        """
        first = self._take(1)
        if first == b"E":
            raise self._failed()
        line = first + self._stdout.readline(_LONGEST_MESSAGE)
        return dict(json.loads(line))

    def send(self, content: bytes) -> None:
        try:
            stdin = self._process.stdin
            assert stdin is not None
            stdin.write(content)
            stdin.flush()
        except BrokenPipeError:
            pass  # the next read reports why the process ended

    def receive(self, size: int) -> bytes:
        """Read ``size`` bytes that answer a command.

        Raises:
            SimulationFailed: the environment raised, or its process is gone.
        """
        if self._take(1) == b"E":
            raise self._failed()
        return self._take(size)

    def found(self, count: int) -> bytes:
        """Return one byte per source: 1 if it has been provided."""
        self.send(b"I")
        return self.receive(count)

    def picture(self, world: int) -> np.ndarray:
        """Have the ``world``-th environment of this process drawn, ``(height, width, 3)`` uint8."""
        self.send(b"V" + struct.pack("<i", world))
        height, width = struct.unpack("<ii", self.receive(8))
        if not (0 < height <= _MAX_SIDE and 0 < width <= _MAX_SIDE):
            raise SimulationFailed(f"{self._what} gave a picture of {width} × {height} pixels")
        content = self._take(3 * height * width)
        return np.frombuffer(content, np.uint8).reshape(height, width, 3)

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _take(self, size: int) -> bytes:
        with self._deadline:
            content = self._stdout.read(size)
        if len(content) != size and self._deadline.passed:
            raise SimulationFailed(
                f"{self._what} has not answered for {self._deadline.seconds:g} s and was ended; correct its step() and "
                "reset(), or raise environment.step_seconds if they need longer"
            )
        # A short read means that the process ended
        if len(content) != size:
            code = self._process.wait()
            raise SimulationFailed(
                f"the process of {self._what} ended with status {code}; does that Python have gymnasium and the "
                "packages of the environment?"
            )
        return content

    def _failed(self) -> SimulationFailed:
        (size,) = struct.unpack("<i", self._take(4))
        message = self._take(min(max(size, 0), _LONGEST_MESSAGE)).decode(errors="replace")
        return SimulationFailed(f"{self._what}: {message}")

    def close(self) -> None:
        self.send(b"Q")
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
