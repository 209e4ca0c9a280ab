"""The events of a sweep besides those of its searches: one frozen record for each kind."""

from __future__ import annotations

from dataclasses import dataclass

from rewardgen.search import Event


@dataclass(frozen=True)
class SweepStarted(Event):
    """A sweep starts. ``finished`` of its ``searches`` were finished before: those with the keys ``reused``.

    ``baselines`` is the number of jobs that measure baselines first; ``where`` says where everything runs.
    """

    kind = "sweep_started"
    searches: int
    finished: int
    reused: tuple[str, ...]
    baselines: int
    where: str


@dataclass(frozen=True)
class JobStarted(Event):
    """A job's process has started."""

    kind = "started"
    pid: int
    log: str


@dataclass(frozen=True)
class BaselineSteps(Event):
    """The trainings of a task's baselines have taken ``steps`` environment steps so far, together."""

    kind = "steps"
    steps: int


@dataclass(frozen=True)
class JobRetried(Event):
    """A job failed and will be retried; ``attempt`` counts from 1."""

    kind = "retried"
    error: str
    message: str
    attempt: int


@dataclass(frozen=True)
class JobEnded(Event):
    """A job is over: "finished" or "failed", with the kind of the error and its message."""

    kind = "ended"
    status: str
    error: str
    message: str


@dataclass(frozen=True)
class SearchLeftOut(Event):
    """A search will not run, because a budget does not allow it."""

    kind = "left_out"
    search: str
    message: str
