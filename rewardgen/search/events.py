"""What a search reports while it runs: one frozen record for each kind of event.

``rewardgen run`` draws them. The store keeps those of ``LASTING`` kinds, which are in no other record. They cross
process boundaries as ``kind`` and ``data`` and come back by ``Event.of``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import TypeAdapter, ValidationError

from rewardgen.request import Purpose

Trained = Literal["generation", "further", "again", "final"]
"""What is trained: a generation, finalists on further seeds, the leader on fresh seeds, or the reported scores."""


@dataclass(frozen=True)
class Event:
    """Something that happened in a search or a sweep."""

    kind: ClassVar[str] = ""
    kinds: ClassVar[dict[str, type[Event]]] = {}
    """Every kind of event there is."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        Event.kinds[cls.kind] = cls

    @property
    def data(self) -> dict[str, Any]:
        """Its fields as plain values."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @staticmethod
    def of(kind: str, data: Mapping[str, Any]) -> Event | None:
        """Return the event of these ``data``; None if this version does not know its kind or fields."""
        # it may come from a process with another version
        if kind not in Event.kinds:
            return None
        try:
            event: Event = TypeAdapter(Event.kinds[kind]).validate_python(dict(data))
        except ValidationError:
            return None
        return event


# --------------------------------------------------------------------------------------------------------------------
# the run and its generations


@dataclass(frozen=True)
class RunStarted(Event):
    """A run begins, or goes on if ``resumed``. ``steps`` are those of a training; ``why`` explains ``arrangement``.

    ``changes`` says which settings it takes otherwise than they were given, and why.
    """

    kind = "run_started"
    run: str
    path: str
    task: str
    author: str
    generations: int
    candidates: int
    steps: int
    offline: bool
    resumed: bool
    arrangement: str
    why: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GenerationStarted(Event):
    """A generation begins that follows from the candidate ``parent``."""

    kind = "generation_started"
    restart: int
    generation: int
    parent: str | None


# --------------------------------------------------------------------------------------------------------------------
# language models and their replies


@dataclass(frozen=True)
class Calling(Event):
    """A language model is asked for ``n`` replies."""

    kind = "calling"
    purpose: Purpose
    n: int


@dataclass(frozen=True)
class EndpointNotice(Event):
    """Why a request is tried again, or what an endpoint does not support."""

    kind = "endpoint"
    message: str


@dataclass(frozen=True)
class Replied(Event):
    """Replies came, of which ``cached`` cost nothing."""

    kind = "replied"
    purpose: Purpose
    replies: int
    prompt_tokens: int
    completion_tokens: int
    dollars: float
    cached: int


@dataclass(frozen=True)
class AttemptScreened(Event):
    """A reply for a candidate was accepted or refused; ``attempt`` counts from 0."""

    kind = "verdict"
    candidate: str
    attempt: int
    accepted: bool
    problems: tuple[str, ...]


# --------------------------------------------------------------------------------------------------------------------
# training


@dataclass(frozen=True)
class TrainingStarted(Event):
    """``members`` begin to train, with ``steps`` of all of them together."""

    kind = "training_started"
    members: int
    steps: int
    what: Trained


@dataclass(frozen=True)
class TrainingProgress(Event):
    """``steps`` of ``total`` environment steps of all members together are taken."""

    kind = "training_progress"
    steps: int
    total: int
    steps_per_second: float
    what: Trained


@dataclass(frozen=True)
class CheckpointReached(Event):
    """A training has a new point on its curve, at ``steps`` of its own."""

    kind = "checkpoint"
    candidate: str
    seed: int
    steps: int
    fitness: float
    success_rate: float


@dataclass(frozen=True)
class MemberFailed(Event):
    """A training failed."""

    kind = "member_failed"
    candidate: str
    seed: int
    message: str


@dataclass(frozen=True)
class MemberStopped(Event):
    """A race ended a training; ``message`` says where and why."""

    kind = "stopped"
    candidate: str
    seed: int
    steps: int
    message: str


# --------------------------------------------------------------------------------------------------------------------
# scores, judgements and selection


@dataclass(frozen=True)
class Scored(Event):
    """A candidate has its score, or none."""

    kind = "scored"
    candidate: str
    score: float | None
    success_rate: float
    status: str
    stopped: bool


@dataclass(frozen=True)
class Remeasured(Event):
    """The leader was trained again; ``again`` is its mean on fresh seeds."""

    kind = "remeasured"
    candidate: str
    score: float | None
    again: float


@dataclass(frozen=True)
class WaitingForPeople(Event):
    """The search waits until ``wanted`` judgements of ``candidates`` are there; ``heard`` are there by now."""

    kind = "waiting"
    restart: int
    generation: int
    candidates: tuple[str, ...]
    against: tuple[str, ...]
    wanted: int
    starts: int
    since: str
    until: str
    heard: int


@dataclass(frozen=True)
class Judged(Event):
    """A generation was judged and ``candidate`` was liked best; ``words`` counts the remarks."""

    kind = "judged"
    restart: int
    generation: int
    candidate: str
    heard: int
    wanted: int
    words: int


@dataclass(frozen=True)
class Selected(Event):
    """A generation is over; ``candidate`` is its best, None if no candidate has a score."""

    kind = "selected"
    restart: int
    generation: int
    candidate: str | None
    score: float | None


@dataclass(frozen=True)
class BaselineFound(Event):
    """A baseline was measured before on this machine and is not trained again."""

    kind = "baseline_found"
    name: str


@dataclass(frozen=True)
class Evaluated(Event):
    """A reported score: of the "winner", the "expert" or the "sparse" reward."""

    kind = "evaluated"
    name: str
    mean: float
    low: float
    high: float
    success_rate: float


# --------------------------------------------------------------------------------------------------------------------
# the run as a whole


@dataclass(frozen=True)
class CostSoFar(Event):
    """What the run has cost so far."""

    kind = "cost"
    calls: int
    prompt_tokens: int
    completion_tokens: int
    dollars: float
    steps: int
    seconds: float


@dataclass(frozen=True)
class Note(Event):
    """How a training is carried out."""

    kind = "note"
    message: str


@dataclass(frozen=True)
class RunWarning(Event):
    """Something that the user should know."""

    kind = "warning"
    message: str


@dataclass(frozen=True)
class RunFinished(Event):
    """The run is over; ``winner`` is a candidate's key, None if no reward was found."""

    kind = "finished"
    winner: str | None


LASTING = (Note, RunWarning)
"""Events that the store keeps."""

Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """Ignore an event."""
