"""Passes checkpoints on to trackers without waiting for them, and without failing with them."""

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
"""Max. wait for a tracker before a training is stored; one that once took longer is not waited for again."""
CLOSE_SECONDS = 60.0
"""Max. wait for what is still being written when a run ends."""
STOP_SECONDS = 5.0
"""The same when it is stopped or fails."""
_SECRET = re.compile(r"KEY|TOKEN|PASSWORD|SECRET", re.IGNORECASE)
_MESSAGE = 300  # max. length of an error in a warning


@dataclass(frozen=True)
class Subject:
    """What is tracked: a run's ``name`` and ``id``, its ``folder``, and the ``settings`` that may be shown."""

    name: str
    id: str
    folder: Path
    settings: Mapping[str, Any]


class Tracker(Protocol):
    """A destination of curves. It may raise anything; after that it is not used again."""

    def begin(self, key: str, seed: int) -> int:
        """Begin a training, perhaps again after its process died.

        Returns:
            The last step that the tracker has of it, −1 if there is none.
        """

    def point(self, key: str, seed: int, step: int, values: Mapping[str, float], when: float) -> None:
        """Add numbers by tag at a step; ``when`` is the time in seconds since the epoch."""

    def end(self, key: str, seed: int, status: str) -> None:
        """End a training with its status: "done", "failed" or "stopped"."""

    def close(self) -> None:
        """Finish; nothing follows."""


def makers() -> dict[str, Callable[[Subject], Tracker]]:
    """Return the trackers by their names in the setting ``tracking``."""
    return {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}


def _tensorboard(subject: Subject) -> Tracker:
    """Return the tracker for TensorBoard."""
    from rewardgen.tracking.tensorboard import TensorBoard

    return TensorBoard(subject.folder / "tensorboard")


def _wandb(subject: Subject) -> Tracker:
    """Return the tracker for Weights & Biases."""
    from rewardgen.tracking.weights_and_biases import WeightsAndBiases

    return WeightsAndBiases(subject)


def _mlflow(subject: Subject) -> Tracker:
    """Return the tracker for MLflow."""
    from rewardgen.tracking.mlflow_runs import MLflow

    return MLflow(subject)


class Tracking:
    """The trackers of a run.

    Args:
        names: of ``makers``; may be empty.
        subject: what they are told about the run.
        on_warning: called once for each tracker that fails, from any thread.
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
        """Begin trainings: (key, seed) of each."""
        for key, seed in trainings:
            self._tell("begin", key, seed)

    def point(self, key: str, seed: int, point: Checkpoint) -> None:
        """Add a checkpoint of a training."""
        self._tell("point", key, seed, point.steps, scalars(point), time.time())

    def end(self, key: str, result: TrainingResult) -> None:
        """End a training that is about to be stored."""
        self._tell("end", key, result.seed, result.status)

    def whole(self, key: str, result: TrainingResult) -> None:
        """Add a whole training that took place elsewhere."""
        self.begin([(key, result.seed)])
        for point in result.curve:
            self.point(key, result.seed, point)
        self.end(key, result)

    def settle(self) -> None:
        """Wait, but not for long, until everything was written: what is stored next will not be passed on again."""
        for worker in self._workers:
            worker.settle()

    def close(self, patience: float) -> None:
        """Let everything be written, for at most ``patience`` seconds."""
        until = time.monotonic() + patience
        for worker in self._workers:
            # Let all of them finish at the same time
            worker.stop()
        for worker in self._workers:
            worker.wait(max(0.0, until - time.monotonic()))

    def _tell(self, what: str, key: str, *arguments: Any) -> None:
        """Queue a call for all trackers."""
        for worker in self._workers:
            worker.tell(what, self._names.get(key, key), *arguments)


class _QueueWorker:
    """A tracker in its own thread, which dies with the process: imports, disks and networks delay nobody."""

    def __init__(self, name: str, make: Callable[[], Tracker], on_warning: Callable[[str], None]) -> None:
        self._name, self._make, self._on_warning = name, make, on_warning
        self._jobs: SimpleQueue[tuple[str, tuple[Any, ...]] | Event | None] = SimpleQueue()
        self._last: dict[tuple[str, int], int] = {}
        self._tracker: Tracker | None = None
        self._slow = False
        self._thread = Thread(target=self._work, name=f"tracking by {name}", daemon=True)
        self._thread.start()

    def tell(self, what: str, *arguments: Any) -> None:
        """Queue a call."""
        self._jobs.put((what, arguments))

    def settle(self) -> None:
        """Wait until the queued calls were made, unless the tracker was slow before."""
        if self._slow:
            return
        reached = Event()
        self._jobs.put(reached)
        self._slow = not reached.wait(SETTLE_SECONDS)

    def stop(self) -> None:
        """Queue the end."""
        self._jobs.put(None)

    def wait(self, seconds: float) -> None:
        """Wait for the thread; warn if it is still busy."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._on_warning(f"{self._name} did not take all of the curves in time; the run itself has them")

    def _work(self) -> None:
        """Make the queued calls, in the thread, until the end; after a failure they are dropped."""
        self._guarded(self._begin)
        while (job := self._jobs.get()) is not None:
            if isinstance(job, Event):
                job.set()
            elif self._tracker is not None:
                self._guarded(partial(self._do, self._tracker, *job))
        if self._tracker is not None:
            self._guarded(self._tracker.close)

    def _begin(self) -> None:
        """Make the tracker."""
        self._tracker = self._make()

    def _do(self, tracker: Tracker, what: str, arguments: tuple[Any, ...]) -> None:
        """Make one call; steps that the tracker has already are skipped."""
        if what == "begin":
            key, seed = arguments
            self._last[key, seed] = tracker.begin(key, seed)
        elif what == "point":
            key, seed, step, values, when = arguments
            if step > self._last[key, seed]:  # a training that ran out of memory begins again in the same process
                tracker.point(key, seed, step, values, when)
                self._last[key, seed] = step
        else:
            tracker.end(*arguments)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run ``work``; if it raises, give the tracker up with a warning."""
        try:
            work()
        except BaseException as error:  # SystemExit too: a library must not end this thread silently
            self._tracker = None
            self._on_warning(
                f"no further curves go to {self._name} ({masked(error)}); the search goes on, and the run has them all"
            )


def masked(error: BaseException) -> str:
    """Return an error's message on one line, without secrets of the environment or of a URL."""
    text = " ".join(str(error).split()) or type(error).__name__
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= 6:
            text = text.replace(value, "***")
    return re.sub(r"//[^/@\s]+@", "//***@", text)[:_MESSAGE]
