"""The content of a run's store as plain records; the report, the pages and ``--json`` are made from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rewardgen.records import (
    Evaluation,
    Forecast,
    Form,
    Judgement,
    Message,
    Order,
    Problem,
    Remark,
    Reply,
    TrainingResult,
    Verdict,
)
from rewardgen.text import number


@dataclass(frozen=True)
class Change:
    """A setting (by its dotted name) that a run uses with another value than the given one, and why."""

    setting: str
    given: Any
    used: Any
    why: str

    def __str__(self) -> str:
        return f"{self.setting} is {_shown(self.used)}, not {_shown(self.given)} as given: {self.why}"


@dataclass(frozen=True)
class Growth:
    """A change of the number of generations of a run that had already begun, from ``before`` to ``after``.

    For a finished run ``before`` counts those that were finished, ``winner`` is the winner at that time and ``mean``
    its reported score; both are None if the run was not finished.
    """

    before: int
    after: int
    time: str
    winner: str | None
    mean: float | None

    def sentence(self, unit: str) -> str:
        """Describe the change; ``unit`` follows the score."""
        score = "" if self.mean is None else f" with a reported score of {number(self.mean)}{unit}"
        earlier = "" if self.winner is None else f"; the winner before was {self.winner}{score}"
        when = self.time[:16].replace("T", " ")
        return f"Continued from {self.before} to {self.after} generations on {when}{earlier}"


def _shown(value: Any) -> str:
    """Return a setting's value as it would stand in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


@dataclass(frozen=True)
class CallView:
    """One request to the language model. ``purpose`` is a ``request.Purpose``; ``error`` is "" when it was answered."""

    key: str
    purpose: str
    messages: tuple[Message, ...]
    replies: tuple[Reply, ...]
    error: str
    started: str


@dataclass(frozen=True)
class AttemptView:
    """One reply for a candidate: the program in it, or why there was none.

    ``output`` is the beginning of what the program printed in its trial. Only the report shows it.
    """

    number: int
    reply: Reply
    source: str | None
    problems: tuple[Problem, ...]
    output: str = field(default="", repr=False, metadata={"report_only": True})


@dataclass(frozen=True)
class CandidateView:
    """One candidate of a generation.

    ``key`` is unique in the run ("r0g1c3": restart 0, generation 1, candidate 3). ``parent`` is the key of the
    candidate whose code its prompt showed. ``status``: "writing", "rejected" (no attempt passed the checks), "accepted"
    (to be trained), "failed" (every training failed), "trained". ``score`` is the selection score: the mean over its
    seeds of the best checkpoint's fitness, None without one. ``reflection`` is the text that the next prompt carries if
    this candidate is selected. ``low`` and ``high`` bound its fitness by the seeds and episodes of all its trainings,
    fresh seeds among them; the lower bound ranks candidates. ``again`` are its trainings on fresh seeds, if it led its
    generation; ``forecast`` is what stored episodes predicted before it was trained.
    """

    key: str
    parent: str | None
    status: Literal["writing", "rejected", "accepted", "failed", "trained"]
    attempts: tuple[AttemptView, ...]
    source: str | None
    trainings: tuple[TrainingResult, ...]
    score: float | None
    reflection: str
    selected: bool
    low: float | None = None
    high: float | None = None
    again: tuple[TrainingResult, ...] = ()
    forecast: Forecast | None = None

    @property
    def stopped(self) -> str:
        """Where and why a race stopped its trainings; "" if none did."""
        return next((training.message for training in self.trainings if training.status == "stopped"), "")

    @property
    def again_score(self) -> float | None:
        """Mean score on fresh seeds; None without any, NaN if one of them failed."""
        return math.fsum(training.score for training in self.again) / len(self.again) if self.again else None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Problems of the last attempt, or of the training."""
        # Failed trainings, a decision against training, or the checks of the last attempt
        failed = tuple(Problem("train", t.message) for t in self.trainings if t.status == "failed")
        if self.forecast is not None and self.forecast.left_out:
            return (Problem("screen", "not trained: others of its generation order stored episodes better"),)
        return failed or (self.attempts[-1].problems if self.attempts else ())


@dataclass(frozen=True)
class GenerationView:
    """One generation. ``verdict``: its judgements when the search continued; None if nobody was asked."""

    restart: int
    index: int
    messages: tuple[Message, ...]
    candidates: tuple[CandidateView, ...]
    finished: bool
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Waiting:
    """What a search waits for: judgements of ``candidates`` among each other and ``against`` the best earlier ones.

    It continues after ``wanted`` judgements (as ``preference.heard`` counts them), and in any case at the time
    ``until`` (UTC, ISO 8601, like ``since``). ``starts`` is the number of start states that replays are shown from.
    """

    restart: int
    generation: int
    candidates: tuple[str, ...]
    against: tuple[str, ...]
    wanted: int
    starts: int
    since: str
    until: str

    @property
    def facts(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class FinalView:
    """The reported score of one reward: ``name`` is "winner", "expert" or "sparse"; None until it was measured."""

    name: str
    trainings: tuple[TrainingResult, ...]
    evaluation: Evaluation | None


@dataclass(frozen=True)
class CostView:
    """What the run has cost so far. ``estimated``: some token counts were estimated."""

    calls: int
    cached_calls: int
    prompt_tokens: int
    completion_tokens: int
    dollars: float
    steps: int
    training_seconds: float
    seconds: float
    estimated: bool

    @property
    def paid(self) -> str:
        """The dollars as text; an unknown price is not called free."""
        # Tokens without a known price may have cost something
        if self.dollars:
            return f"{'about ' if self.estimated else ''}${self.dollars:,.4f}"
        return "at no known price" if self.prompt_tokens + self.completion_tokens else "$0"


@dataclass(frozen=True)
class EventView:
    """An event that the search reported, with its time in UTC (ISO 8601)."""

    time: str
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class RunView:
    """A whole run. ``status``: "running" (a process holds it), "interrupted", "failed", "finished"."""

    name: str
    path: Path
    status: Literal["running", "interrupted", "failed", "finished"]
    message: str
    config: Mapping[str, Any]
    """The settings that it uses: ``given``, with ``changes``."""
    task: Mapping[str, Any]
    """The task's declarations: name, description, fields, fitness_unit, fitness_meaning, success_threshold, …"""
    author: str
    """Who writes the rewards: a model's name, "offline …" or "replay:…"."""
    versions: Mapping[str, str]
    created: str
    generations: tuple[GenerationView, ...]
    calls: tuple[CallView, ...]
    finals: tuple[FinalView, ...]
    winner: str | None
    cost: CostView
    events: tuple[EventView, ...]
    envs: tuple[Path, ...] = ()
    """Folders of task files that the run was given, besides rewardgen's own."""
    judgements: tuple[Judgement, ...] = ()
    """Judgements of pairs that were not undone; likewise the next two."""
    orders: tuple[Order, ...] = ()
    remarks: tuple[Remark, ...] = ()
    waiting: Waiting | None = None
    """What a running search waits for now."""
    form: Form = "reward"
    """What the programs return."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """The settings as they were given; empty in old runs, which did not store them."""
    changes: tuple[Change, ...] = ()
    """How ``config`` differs from ``given``, and why."""
    grown: tuple[Growth, ...] = ()
    """Later changes of the number of generations, oldest first."""
    asking: tuple[Path, ...] = ()
    """The dialog requests whose answers a live search waits for (``llm.dialog``)."""

    @property
    def candidates(self) -> dict[str, CandidateView]:
        """Key → candidate, of all generations."""
        return {c.key: c for generation in self.generations for c in generation.candidates}

    def final(self, name: str) -> FinalView | None:
        """Return the reported score of a reward; None if it is not there."""
        return next((final for final in self.finals if final.name == name), None)
