"""Watchers of trainings that write down what they were told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from rewardgen.records import Checkpoint, Episodes, TrainingResult
from rewardgen.training import Watcher

Stop = Callable[[int, Sequence[TrainingResult]], Mapping[int, str]]


class Written(Watcher):
    """Writes everything down; ``stop`` says who stops, where there is a race."""

    def __init__(self, stop: Stop | None = None) -> None:
        self.races = stop is not None
        self._stop = stop
        self.steps: list[int] = []
        self.points: list[tuple[str, int, Checkpoint]] = []
        self.played: list[tuple[str, int, Episodes, Tensor]] = []
        self.notes: list[str] = []

    def progress(self, steps: int) -> None:
        self.steps.append(steps)

    def checkpoint(self, key: str, seed: int, point: Checkpoint) -> None:
        self.points.append((key, seed, point))

    def episodes(self, key: str, seed: int, played: Episodes, fitness: Tensor) -> None:
        self.played.append((key, seed, played, fitness))

    def note(self, message: str) -> None:
        self.notes.append(message)

    def stop(self, steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        return self._stop(steps, results) if self._stop is not None else {}
