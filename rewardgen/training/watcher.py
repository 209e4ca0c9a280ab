"""Watchers: one object that receives all events of a training, instead of one callback per event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from rewardgen.records import Checkpoint, Episodes, TrainingResult
from rewardgen.training.episodes import Collector


class Watcher:
    """Receives the events of a training. The methods do nothing by default, except that ``episodes`` collects.

    ``train`` calls ``resumed``, ``progress``, ``checkpoint``, ``episodes``, ``note`` and ``stop``; the implementations
    of ``Trainer`` also call ``begin`` and ``end``. All calls come from the thread that trains.

    Attributes:
        races: whether ``stop`` may stop members early, for which all members must train as one batch.
        collector: keeps some of the checkpoints' episodes; saved and restored with the training.
    """

    races: bool = False
    collector: Collector | None = None

    def begin(self, members: Sequence[tuple[str, int]]) -> None:
        """Receive the members, as (key, seed), that start to train now. May raise to prevent it."""

    def resumed(self, steps: int) -> None:
        """Receive the number of environment steps of all members together that were restored from saved state."""

    def progress(self, steps: int) -> None:
        """Receive the environment steps of all members together so far; called after each update."""

    def checkpoint(self, key: str, seed: int, point: Checkpoint) -> None:
        """Receive a new point of a member's curve."""

    def episodes(self, key: str, seed: int, played: Episodes, fitness: Tensor) -> None:
        """Receive the episodes that the latest point was measured on, and their fitness ``(n,)``."""
        if self.collector is not None:
            self.collector.take(key, seed, played, fitness)

    def note(self, message: str) -> None:
        """Receive a message for the user about how the training runs."""

    def stop(self, steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        """Choose the members to stop; called after every checkpoint but the last, if ``races``.

        The choice must depend on the arguments alone, so that a training is reproducible.

        Args:
            steps: environment steps that each running member has taken.
            results: the result of each member so far, in the order in which the members were given.

        Returns:
            Index of each member to stop → the reason.
        """
        return {}

    def end(self, results: Sequence[TrainingResult]) -> None:
        """Receive the final results of members; each member is reported once."""


class PartWatcher(Watcher):
    """Forwards the events of one part of a training, after other parts have taken ``before`` environment steps.

    A part never races, because a race compares all members at the same number of steps.
    """

    def __init__(self, whole: Watcher, before: int) -> None:
        self._whole, self._before = whole, before
        self.collector = whole.collector

    def resumed(self, steps: int) -> None:
        self._whole.resumed(steps)

    def progress(self, steps: int) -> None:
        self._whole.progress(self._before + steps)

    def checkpoint(self, key: str, seed: int, point: Checkpoint) -> None:
        self._whole.checkpoint(key, seed, point)

    def episodes(self, key: str, seed: int, played: Episodes, fitness: Tensor) -> None:
        self._whole.episodes(key, seed, played, fitness)

    def note(self, message: str) -> None:
        self._whole.note(message)
