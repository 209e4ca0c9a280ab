"""What every search of a sweep came to, read from the runs' own stores: the numbers, and nothing larger."""

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

_GENERATION = re.compile(r"r(\d+)g(\d+)")  # how the keys of all calls of a generation begin


@dataclass(frozen=True)
class SpentAndScore:
    """Where a search stood after a generation: what it had cost, and the selection score of the best so far.

    ``steps``, ``dollars`` and ``hours`` are those of the search alone, without measuring what is reported. Hours are
    those of training, by the clock. ``score`` is from fresh seeds where the leader was measured again.
    """

    steps: int
    dollars: float
    hours: float
    score: float


@dataclass(frozen=True)
class Score:
    """A reported score with the interval that the run itself gives it; all NaN where there is none."""

    mean: float
    low: float
    high: float
    success_rate: float


UNSCORED = Score(math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class SearchResult:
    """One search. What it has not come to is NaN, never zero; ``status`` "missing" has not begun.

    ``steps``, ``dollars`` (NaN where nobody knows the price) and ``hours`` are what the whole run used so far.
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
        """Whether it is over and its reward has a finite score."""
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
    """What the searches of the sweep in ``folder`` have come to by now; it may be running.

    Raises:
        StoreError: there is no sweep, or its ``sweep.json`` is damaged. A run that cannot be read is a failed one.
    """
    kept = read_plan(folder)
    results = tuple(_result(planned) for planned in kept.searches)
    return Sweep(kept.name, folder, kept.arms, kept.tasks, kept.seeds, results)


def _result(planned: Planned) -> SearchResult:
    place = planned.arm, planned.task, planned.seed, planned.run_dir
    if not (planned.run_dir / STORE_FILE).is_file():
        return SearchResult(*place, "missing")
    try:
        view = read(planned.run_dir)
    except StoreError as error:
        return SearchResult(*place, "failed", str(error))
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
    final = view.final(name)
    found: Evaluation | None = final.evaluation if final is not None else None
    return UNSCORED if found is None else Score(found.mean, found.low, found.high, found.success_rate)


def _progress(view: RunView) -> Iterator[SpentAndScore]:
    dollars = _dollars(view)
    steps, spent, seconds = 0, 0.0, 0.0
    leader: CandidateView | None = None
    for generation in view.generations:
        for candidate in generation.candidates:
            trainings = (*candidate.trainings, *candidate.again)
            steps += sum(training.steps for training in trainings)
            seconds += sum(training.seconds for training in trainings)
        spent += dollars.get((generation.restart, generation.index), 0.0)
        if not generation.finished:
            continue
        selected = [candidate for candidate in generation.candidates if candidate.selected]
        leader = max([*([leader] if leader else []), *selected], key=_rank, default=None)
        if leader is not None:
            yield SpentAndScore(steps, spent, seconds / 3600.0, _shown(leader))


def _rank(candidate: CandidateView) -> float:
    """What leaders are compared by: the lower bound of their score."""
    for value in (candidate.low, candidate.score):
        if value is not None and math.isfinite(value):
            return value
    return -math.inf


def _shown(candidate: CandidateView) -> float:
    again = candidate.again_score
    if again is not None and math.isfinite(again):
        return again
    return candidate.score if candidate.score is not None else math.nan


def _dollars(view: RunView) -> dict[tuple[int, int], float]:
    """What was paid for each generation, by restart and index; what belongs to none is not counted."""
    paid: dict[tuple[int, int], float] = {}
    for call in view.calls:
        if match := _GENERATION.match(call.key):
            place = int(match[1]), int(match[2])
            paid[place] = paid.get(place, 0.0) + sum(reply.dollars for reply in call.replies if not reply.cached)
    return paid
