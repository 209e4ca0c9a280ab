"""Reads the results of all searches of a sweep from the runs' own stores: numbers only, nothing larger."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rewardgen.errors import StoreError
from rewardgen.records import Evaluation
from rewardgen.store import CandidateView, RunView, read
from rewardgen.store.database import FILE_NAME as STORE_FILE
from rewardgen.sweep.plan import Planned, read_plan

Status = Literal["finished", "failed", "interrupted", "running", "missing"]

_GENERATION = re.compile(r"r(\d+)g(\d+)")  # prefix of the keys of all calls of a generation


@dataclass(frozen=True)
class SpentAndScore:
    """The state of a search after a generation: its cost so far, and the selection score of its best candidate.

    ``steps``, ``dollars`` and ``hours`` are without the measurement of reported scores. Hours are wall-clock hours of
    training. ``score`` is from fresh seeds if the leader was measured again.
    """

    steps: int
    dollars: float
    hours: float
    score: float


@dataclass(frozen=True)
class Score:
    """A reported score with the run's own interval; all NaN if there is none."""

    mean: float
    low: float
    high: float
    success_rate: float


UNSCORED = Score(math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class SearchResult:
    """One search. Values that it does not have are NaN, never zero; ``status`` "missing": it has not begun.

    ``steps``, ``dollars`` (NaN if the price is unknown) and ``hours`` are what the whole run has used so far.
    """

    arm: str
    task: str
    seed: int
    path: Path
    status: Status
    message: str = ""
    unit: str = ""
    found: Score = UNSCORED
    expert: Score = UNSCORED
    sparse: Score = UNSCORED
    steps: int = 0
    tokens: int = 0
    dollars: float = 0.0
    hours: float = 0.0
    progress: tuple[SpentAndScore, ...] = ()

    @property
    def scored(self) -> bool:
        """Whether it is finished and its reward has a finite score."""
        return self.status == "finished" and math.isfinite(self.found.mean)


@dataclass(frozen=True)
class Sweep:
    """The results of all planned searches; ``arms``, ``tasks`` and ``seeds`` in the order of the spec."""

    name: str
    folder: Path
    arms: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    results: tuple[SearchResult, ...]


def load(folder: Path) -> Sweep:
    """Read the results of the sweep in ``folder`` so far; it may be running.

    Raises:
        StoreError: there is no sweep, or its ``sweep.json`` is damaged. A run that cannot be read counts as failed.
    """
    plan = read_plan(folder)
    results = tuple(_result(planned) for planned in plan.searches)
    return Sweep(plan.name, folder, plan.arms, plan.tasks, plan.seeds, results)


def _result(planned: Planned) -> SearchResult:
    """Read the result of one search."""
    place = planned.arm, planned.task, planned.seed, planned.run_dir
    if not (planned.run_dir / STORE_FILE).is_file():
        return SearchResult(*place, "missing")
    try:
        view = read(planned.run_dir)
    except StoreError as error:
        return SearchResult(*place, "failed", str(error))
    # An unknown price makes the dollars NaN, not zero
    cost = view.cost
    return SearchResult(
        *place,
        view.status,
        view.message,
        unit=str(view.task.get("fitness_unit", "")),
        found=_score(view, "winner"),
        expert=_score(view, "expert"),
        sparse=_score(view, "sparse"),
        steps=cost.steps,
        tokens=cost.prompt_tokens + cost.completion_tokens,
        dollars=cost.dollars if cost.dollars or not cost.prompt_tokens + cost.completion_tokens else math.nan,
        hours=cost.seconds / 3600.0,
        progress=tuple(_progress(view)),
    )


def _score(view: RunView, name: str) -> Score:
    """Return a reported score of a run."""
    final = view.final(name)
    evaluation: Evaluation | None = final.evaluation if final is not None else None
    return (
        UNSCORED
        if evaluation is None
        else Score(evaluation.mean, evaluation.low, evaluation.high, evaluation.success_rate)
    )


def _progress(view: RunView) -> Iterator[SpentAndScore]:
    """Yield cost and best score after each generation, from its first candidate with a score on."""
    dollars = _dollars(view)
    steps, spent, seconds = 0, 0.0, 0.0
    leader: CandidateView | None = None
    for generation in view.generations:
        # Add up what the generation cost
        for candidate in generation.candidates:
            trainings = (*candidate.trainings, *candidate.again)
            steps += sum(training.steps for training in trainings)
            seconds += sum(training.seconds for training in trainings)
        spent += dollars.get((generation.restart, generation.index), 0.0)
        if not generation.finished:
            continue
        # The leader so far
        selected = [candidate for candidate in generation.candidates if candidate.selected]
        leader = max([*([leader] if leader else []), *selected], key=_rank, default=None)
        if leader is not None:
            yield SpentAndScore(steps, spent, seconds / 3600.0, _shown(leader))


def _rank(candidate: CandidateView) -> float:
    """Return the value that leaders are compared by: the lower bound of their score."""
    for value in (candidate.low, candidate.score):
        if value is not None and math.isfinite(value):
            return value
    return -math.inf


def _shown(candidate: CandidateView) -> float:
    """Return a leader's score, on fresh seeds if it has one there."""
    # Fresh seeds did not select it, so their mean is not flattered
    again = candidate.again_score
    if again is not None and math.isfinite(again):
        return again
    return candidate.score if candidate.score is not None else math.nan


def _dollars(view: RunView) -> dict[tuple[int, int], float]:
    """Return the dollars paid for each generation, by restart and index; other calls are not counted."""
    paid: dict[tuple[int, int], float] = {}
    for call in view.calls:
        # Replies from the cache were paid for before
        if match := _GENERATION.match(call.key):
            place = int(match[1]), int(match[2])
            paid[place] = paid.get(place, 0.0) + sum(reply.dollars for reply in call.replies if not reply.cached)
    return paid
