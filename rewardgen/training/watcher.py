"""Who follows a training: one object instead of a callback for each thing that can happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from rewardgen.records import Checkpoint, Episodes, TrainingResult
from rewardgen.training.episodes import Collector


class Watcher:
    """Follows a training. Every method here does nothing, so a subclass overrides what it is interested in.

    ``train`` calls ``resumed``, ``progress``, ``checkpoint``, ``episodes``, ``note`` and ``stop``; the trainers behind
    ``Trainer`` also call ``begin`` and ``end``. All calls come from the thread that trains.

    Attributes:
        races: whether ``stop`` may end members early. Then all members must train as one batch.
        collector: keeps some of the checkpoints' episodes. Its state is saved and restored with the training's.
    """

    races: bool = False
    collector: Collector | None = None

    def begin(self, members: Sequence[tuple[str, int]]) -> None:
        """Take note that the members given by key and seed begin to train now. May raise to prevent it."""

    def resumed(self, steps: int) -> None:
        """Take note that ``steps`` environment steps of all members together were restored, not taken."""

    def progress(self, steps: int) -> None:
        """Take note of the environment steps of all members together; called after each update."""

    def checkpoint(self, key: str, seed: int, point: Checkpoint) -> None:
        """Take note of a new point of a member's curve."""

    def episodes(self, key: str, seed: int, played: Episodes, fitness: Tensor) -> None:
        """Take note of the episodes that the latest point was measured on, and of their fitness ``(n,)``."""
        if self.collector is not None:
            self.collector.take(key, seed, played, fitness)

    def note(self, message: str) -> None:
        """Take note of a sentence on how the training is carried out."""

    def stop(self, steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        """Return which members stop here and why; asked after every checkpoint but the last, if ``races``.

        The answer must follow from the arguments alone, so that a training can be repeated.

        Args:
            steps: environment steps that each running member has taken.
            results: what each member has come to, in the order in which they were given.

        Returns:
            index of a member → the reason.
        """
        return {}

    def end(self, results: Sequence[TrainingResult]) -> None:
        """Take note of the final results of members; called once for each of them."""


class PartWatcher(Watcher):
    """Passes on what a part of a training reports, after other parts have taken ``before`` environment steps.

    A part never races, because a race compares all members at the same steps.
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
