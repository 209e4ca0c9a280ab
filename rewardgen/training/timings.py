"""Wall-clock time of a training by phase."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from rewardgen.sim.arrangement import ON_CPU
from rewardgen.training import devices
from rewardgen.training.watcher import Watcher


@dataclass
class Timings:
    """Wall-clock seconds by phase: ``rollout``, ``labels`` (waiting for rewards), ``learning``, ``checkpoints``.

    A GPU works asynchronously, so its work may be counted in a later phase. With ``exact``, each phase waits for the
    GPU and is charged for its own work; that loses a little overlap.
    """

    exact: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    device: torch.device = ON_CPU.device

    @contextmanager
    def measure(self, what: str) -> Iterator[None]:
        """Add the wall-clock time of the ``with`` block to the phase ``what``, also if the block raises."""
        began = time.perf_counter()
        try:
            yield
            if self.exact:
                devices.synchronise(self.device)
        finally:
            self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - began

    @property
    def total(self) -> float:
        """Seconds of all phases together."""
        return sum(self.seconds.values())


class TimedSteps(Watcher):
    """Records the end of each update in ``updates``: the time, the steps so far and the ``timings`` so far."""

    def __init__(self, timings: Timings) -> None:
        self._timings = timings
        self.updates: list[tuple[float, int, dict[str, float]]] = []

    def progress(self, steps: int) -> None:
        self.updates.append((time.perf_counter(), steps, {"checkpoints": 0.0, **self._timings.seconds}))
