"""Handing checkpoints on to trackers without ever waiting for one, or falling with it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from types import TracebackType
from typing import Any, Protocol

from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.tracking.scalars import scalars

SETTLE_SECONDS = 10.0
"""Longest wait for a tracker before a training is stored; one that took longer once is not waited for again."""
CLOSE_SECONDS = 60.0
"""Longest wait for what is still under way when a run ends."""
STOP_SECONDS = 5.0
"""The same when it is stopped, or fails."""
_SECRET = re.compile(r"KEY|TOKEN|PASSWORD|SECRET", re.IGNORECASE)
_MESSAGE = 300  # characters of an error that a warning repeats


@dataclass(frozen=True)
class Subject:
    """What is tracked: a run's ``name`` and ``id``, its ``folder``, the ``settings`` that others may be shown."""

    name: str
    id: str
    folder: Path
    settings: Mapping[str, Any]


class Tracker(Protocol):
    """Somewhere that curves go. It may raise whatever it likes: it is not asked again then."""

    def begin(self, key: str, seed: int) -> int:
        """A training begins, perhaps again after its process died.

        Returns:
            The last step that is kept of it already, −1 where there is none.
        """

    def point(self, key: str, seed: int, step: int, values: Mapping[str, float], when: float) -> None:
        """Numbers by tag at a step; ``when`` is the time in seconds since the epoch."""

    def end(self, key: str, seed: int, status: str) -> None:
        """A training is over: "done", "failed" or "stopped"."""

    def close(self) -> None:
        """Nothing follows."""


def makers() -> dict[str, Callable[[Subject], Tracker]]:
    """The trackers that there are, by the names that the setting ``tracking`` has for them."""
    return {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}


def _tensorboard(subject: Subject) -> Tracker:
    from rewardgen.tracking.tensorboard import TensorBoard

    return TensorBoard(subject.folder / "tensorboard")


def _wandb(subject: Subject) -> Tracker:
    from rewardgen.tracking.weights_and_biases import WeightsAndBiases

    return WeightsAndBiases(subject)


def _mlflow(subject: Subject) -> Tracker:
    from rewardgen.tracking.mlflow_runs import MLflow

    return MLflow(subject)


class Tracking:
    """The trackers of a run.

    Args:
        names: which, of ``makers``; none is fine.
        subject: what they are told of the run.
        on_warning: told, from any thread, once for each tracker that fails.
    """

    def __init__(self, names: Sequence[str], subject: Subject, on_warning: Callable[[str], None]) -> None:
        known = makers()
        self._names: dict[str, str] = {}
        self._workers = [_QueueWorker(name, partial(known[name], subject), on_warning) for name in dict.fromkeys(names)]

    def __enter__(self) -> Tracking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(CLOSE_SECONDS if error is None else STOP_SECONDS)

    def rename(self, key: str, name: str) -> None:
        """Track the trainings of ``key`` as ``name`` from now on."""
        self._names[key] = name

    def begin(self, trainings: Iterable[tuple[str, int]]) -> None:
        """Trainings begin: (key, seed) of each."""
        for key, seed in trainings:
            self._tell("begin", key, seed)

    def point(self, key: str, seed: int, point: Checkpoint) -> None:
        self._tell("point", key, seed, point.steps, scalars(point), time.time())

    def end(self, key: str, result: TrainingResult) -> None:
        """A training is over and about to be stored."""
        self._tell("end", key, result.seed, result.status)

    def whole(self, key: str, result: TrainingResult) -> None:
        """A training that took place elsewhere."""
        self.begin([(key, result.seed)])
        for point in result.curve:
            self.point(key, result.seed, point)
        self.end(key, result)

    def settle(self) -> None:
        """Wait, not for long, until all that was told is kept: what is stored next will not be told again."""
        for worker in self._workers:
            worker.settle()

    def close(self, patience: float) -> None:
        """Let everything that was told be kept, for ``patience`` seconds at most."""
        until = time.monotonic() + patience
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.wait(max(0.0, until - time.monotonic()))

    def _tell(self, what: str, key: str, *arguments: Any) -> None:
        for worker in self._workers:
            worker.tell(what, self._names.get(key, key), *arguments)


class _QueueWorker:
    """A tracker on its own thread, which dies with the process: imports, disks and networks hold nobody up."""

    def __init__(self, name: str, make: Callable[[], Tracker], on_warning: Callable[[str], None]) -> None:
        self._name, self._make, self._on_warning = name, make, on_warning
        self._jobs: SimpleQueue[tuple[str, tuple[Any, ...]] | Event | None] = SimpleQueue()
        self._last: dict[tuple[str, int], int] = {}
        self._tracker: Tracker | None = None
        self._slow = False
        self._thread = Thread(target=self._work, name=f"tracking by {name}", daemon=True)
        self._thread.start()

    def tell(self, what: str, *arguments: Any) -> None:
        self._jobs.put((what, arguments))

    def settle(self) -> None:
        if self._slow:
            return
        reached = Event()
        self._jobs.put(reached)
        self._slow = not reached.wait(SETTLE_SECONDS)

    def stop(self) -> None:
        self._jobs.put(None)

    def wait(self, seconds: float) -> None:
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._on_warning(f"{self._name} did not take all of the curves in time; the run itself has them")

    def _work(self) -> None:
        self._guarded(self._begin)
        while (job := self._jobs.get()) is not None:
            if isinstance(job, Event):
                job.set()
            elif self._tracker is not None:
                self._guarded(partial(self._do, self._tracker, *job))
        if self._tracker is not None:
            self._guarded(self._tracker.close)

    def _begin(self) -> None:
        self._tracker = self._make()

    def _do(self, tracker: Tracker, what: str, arguments: tuple[Any, ...]) -> None:
        if what == "begin":
            key, seed = arguments
            self._last[key, seed] = tracker.begin(key, seed)
        elif what == "point":
            key, seed, step, values, when = arguments
            if step > self._last[key, seed]:  # a training whose memory ran out begins again in the same process
                tracker.point(key, seed, step, values, when)
                self._last[key, seed] = step
        else:
            tracker.end(*arguments)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # SystemExit too: what a library does on this thread must not end it silently
            self._tracker = None
            self._on_warning(
                f"no further curves go to {self._name} ({masked(error)}); the search goes on, and the run has them all"
            )


def masked(error: BaseException) -> str:
    """What an error says, in a line, without the secrets that the environment or an address in it holds."""
    text = " ".join(str(error).split()) or type(error).__name__
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= 6:
            text = text.replace(value, "***")
    return re.sub(r"//[^/@\s]+@", "//***@", text)[:_MESSAGE]
