"""A sweep's results → what they show: per task, over all tasks, and each arm against the one it is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rewardgen.errors import UnknownName
from rewardgen.evaluation import normalised
from rewardgen.sweep import statistics
from rewardgen.sweep.results import Score, SearchResult, Sweep
from rewardgen.sweep.statistics import NOTHING, Bootstrap, Estimate, Values

COSTS = ("steps", "dollars", "hours")
"""What a search uses, by the names of ``Progress``."""
BENEFIT_POINTS = 60
"""Most costs at which the benefit is worked out."""
PROFILE_POINTS = 121
"""Thresholds at which a performance profile is worked out."""


@dataclass(frozen=True)
class Scale:
    """What 0 and 1 of a task's human-normalised score stand for.

    ``apart`` says whether the intervals of the two tell them apart; where they do not, the scale is mostly noise.
    ``varies``: searches of the task measured the two differently, because their arms train differently.
    """

    task: str
    unit: str
    expert: float
    sparse: float
    apart: bool
    varies: bool
    source: str

    @property
    def known(self) -> bool:
        return math.isfinite(self(self.expert))

    def __call__(self, score: float) -> float:
        return normalised(score, self.expert, self.sparse)


@dataclass(frozen=True)
class Cell:
    """One arm on one task. ``fitness`` and ``success`` are means over searches, in the task's unit and as a share."""

    arm: str
    task: str
    planned: int
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    normalised: tuple[float, ...]
    successes: tuple[float, ...]
    fitness: Estimate
    normalised_mean: Estimate
    success: Estimate


@dataclass(frozen=True)
class Aggregate:
    """One arm over ``tasks``. All but ``success`` are of human-normalised scores."""

    arm: str
    tasks: tuple[str, ...]
    scores: int
    iqm: Estimate
    mean: Estimate
    median: Estimate
    success: Estimate


@dataclass(frozen=True)
class Profile:
    """The share of an arm's searches whose normalised score is above each threshold, with pointwise bounds."""

    arm: str
    thresholds: tuple[float, ...]
    shares: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """``arm`` against ``against`` where both have the same task and seed.

    ``difference`` is that of human-normalised scores, or of fitness where there is one ``task``; ``supported`` says
    that its interval lies on one side of zero.
    """

    arm: str
    against: str
    task: str | None
    unit: str
    pairs: int
    tasks: int
    difference: Estimate
    improvement: Estimate
    confidence: float

    @property
    def supported(self) -> bool:
        return self.difference.excludes(0.0)


@dataclass(frozen=True)
class Cost:
    """What an arm's searches used: altogether, and each of those that finished on average. NaN: not known."""

    arm: str
    searches: int
    steps: float
    tokens: float
    dollars: float
    hours: float
    total_steps: int
    total_dollars: float
    total_hours: float


@dataclass(frozen=True)
class Benefit:
    """The interquartile mean of the best scores so far of an arm's searches, by what each search had cost until then.

    ``by`` is "steps", "dollars" or "hours" (of training). The scores are those that select, not those that are
    reported. Bounds are pointwise.
    """

    arm: str
    by: str
    costs: tuple[float, ...]
    scores: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class ArmStanding:
    """How many of an arm's searches are where. ``unscored`` finished without a reward that could be measured."""

    arm: str
    planned: int
    scored: int
    unscored: int
    failed: int
    unfinished: int
    missing: int


@dataclass(frozen=True)
class Analysis:
    """All that a report shows. ``aggregates`` and ``profiles`` are over ``common`` tasks; see ``analyse``."""

    sweep: Sweep
    baseline: str
    bootstrap: Bootstrap
    scales: tuple[Scale, ...]
    common: tuple[str, ...]
    standings: tuple[ArmStanding, ...]
    cells: tuple[Cell, ...]
    aggregates: tuple[Aggregate, ...]
    profiles: tuple[Profile, ...]
    comparisons: tuple[Comparison, ...]
    by_task: tuple[Comparison, ...]
    costs: tuple[Cost, ...]
    benefits: tuple[Benefit, ...]

    def scale(self, task: str) -> Scale:
        return next(scale for scale in self.scales if scale.task == task)

    def cell(self, arm: str, task: str) -> Cell:
        return next(cell for cell in self.cells if (cell.arm, cell.task) == (arm, task))


def analyse(sweep: Sweep, *, baseline: str | None = None, bootstrap: Bootstrap | None = None) -> Analysis:
    """Work out everything.

    A task has one scale for all arms: the expert's and the sparse reward's scores as the first arm's first search with
    both measured them. Aggregates are over the tasks that have a scale and at least one score of every arm that has any
    score: an arm must not seem better because its hard tasks are missing. Comparisons use every task and seed that both
    arms have. Their intervals hold together: for k comparisons each is at 1 − (1 − confidence)/k (Bonferroni).

    Args:
        baseline: the arm that the others are compared with; the first by default.

    Raises:
        UnknownName: there is no arm of the name ``baseline``.
    """
    baseline = baseline or sweep.arms[0]
    if baseline not in sweep.arms:
        raise UnknownName("arm", baseline, sweep.arms)
    bootstrap = bootstrap or Bootstrap()
    scales = tuple(_scale(sweep, task) for task in sweep.tasks)
    cells = tuple(_cell(sweep, arm, scale, bootstrap) for arm in sweep.arms for scale in scales)
    common = _common(cells, scales)
    of_common = {arm: [c for c in cells if c.arm == arm and c.task in common and c.scores] for arm in sweep.arms}
    of_common = {arm: mine for arm, mine in of_common.items() if mine}
    others = [arm for arm in sweep.arms if arm != baseline]
    family = replace(bootstrap, confidence=1.0 - (1.0 - bootstrap.confidence) / max(1, len(others)))
    return Analysis(
        sweep=sweep,
        baseline=baseline,
        bootstrap=bootstrap,
        scales=scales,
        common=common,
        standings=tuple(_standing(sweep, arm) for arm in sweep.arms),
        cells=cells,
        aggregates=tuple(_aggregate(arm, mine, bootstrap) for arm, mine in of_common.items()),
        profiles=tuple(_profiles(of_common, bootstrap)),
        comparisons=tuple(_compare(sweep, arm, baseline, scales, family) for arm in others),
        by_task=tuple(_compare(sweep, arm, baseline, [scale], family, raw=True) for scale in scales for arm in others),
        costs=tuple(_cost(sweep, arm) for arm in sweep.arms),
        benefits=tuple(
            benefit
            for by in COSTS
            for arm in of_common
            if (benefit := _benefit(sweep, arm, by, [s for s in scales if s.task in common], bootstrap)) is not None
        ),
    )


def of(sweep: Sweep, arm: str, task: str | None = None) -> list[SearchResult]:
    """The results of an arm, of one task or of all."""
    return [result for result in sweep.results if result.arm == arm and task in (None, result.task)]


def _scale(sweep: Sweep, task: str) -> Scale:
    ordered = [result for arm in sweep.arms for result in of(sweep, arm, task)]
    unit = next((result.unit for result in ordered if result.unit), "")
    measured = [r for r in ordered if math.isfinite(r.expert.mean) and math.isfinite(r.sparse.mean)]
    if not measured:
        return Scale(task, unit, math.nan, math.nan, False, False, "")
    first = measured[0]
    varies = any((r.expert.mean, r.sparse.mean) != (first.expert.mean, first.sparse.mean) for r in measured)
    apart = not _overlap(first.expert, first.sparse)
    return Scale(task, unit, first.expert.mean, first.sparse.mean, apart, varies, first.arm)


def _overlap(one: Score, other: Score) -> bool:
    return not (one.low > other.high or one.high < other.low)


def _cell(sweep: Sweep, arm: str, scale: Scale, bootstrap: Bootstrap) -> Cell:
    planned = of(sweep, arm, scale.task)
    scored = [result for result in planned if result.scored]
    scores = [result.found.mean for result in scored]
    shares = [result.found.success_rate for result in scored]
    values = [scale(score) for score in scores]
    return Cell(
        arm=arm,
        task=scale.task,
        planned=len(planned),
        seeds=tuple(result.seed for result in scored),
        scores=tuple(scores),
        normalised=tuple(values),
        successes=tuple(shares),
        fitness=statistics.small_sample_mean([np.array(scores)], bootstrap),
        normalised_mean=statistics.small_sample_mean([np.array(values)], bootstrap) if scale.known else NOTHING,
        success=_clipped(statistics.small_sample_mean([np.array(shares)], bootstrap)),
    )


def _clipped(share: Estimate) -> Estimate:
    return Estimate(share.value, max(share.low, 0.0), min(share.high, 1.0)) if share.bounded else share


def _common(cells: Sequence[Cell], scales: Sequence[Scale]) -> tuple[str, ...]:
    at_work = {cell.arm for cell in cells if cell.scores}
    known = [scale.task for scale in scales if scale.known]
    return tuple(
        task
        for task in known
        if at_work and all(cell.scores for cell in cells if cell.task == task and cell.arm in at_work)
    )


def _aggregate(arm: str, cells: Sequence[Cell], bootstrap: Bootstrap) -> Aggregate:
    strata = [np.array(cell.normalised) for cell in cells]

    successes = [np.array(cell.successes) for cell in cells]
    return Aggregate(
        arm=arm,
        tasks=tuple(cell.task for cell in cells),
        scores=sum(len(cell.scores) for cell in cells),
        iqm=statistics.estimate(statistics.iqm, strata, bootstrap),
        mean=statistics.estimate(statistics.mean, strata, bootstrap),
        median=statistics.estimate(statistics.median, strata, bootstrap),
        success=statistics.estimate(statistics.mean, successes, bootstrap),
    )


def _profiles(cells: dict[str, list[Cell]], bootstrap: Bootstrap) -> list[Profile]:
    every = [value for mine in cells.values() for cell in mine for value in cell.normalised]
    if not every:
        return []
    margin = 0.05 * ((max(every) - min(every)) or 1.0)
    thresholds = np.linspace(min(0.0, min(every)) - margin, max(1.0, max(every)) + margin, PROFILE_POINTS)
    made = []
    for arm, mine in cells.items():
        strata = [np.array(cell.normalised) for cell in mine]
        shares, low, high = statistics.performance_profile(strata, thresholds, bootstrap)
        made.append(Profile(arm, *(tuple(map(float, values)) for values in (thresholds, shares, low, high))))
    return made


def _compare(
    sweep: Sweep, arm: str, against: str, scales: Sequence[Scale], bootstrap: Bootstrap, *, raw: bool = False
) -> Comparison:
    ours: list[Values] = []
    theirs: list[Values] = []
    for scale in scales:
        if not raw and not scale.known:
            continue
        measure: Callable[[float], float] = float if raw else scale
        mine = {result.seed: measure(result.found.mean) for result in of(sweep, arm, scale.task) if result.scored}
        other = {result.seed: measure(result.found.mean) for result in of(sweep, against, scale.task) if result.scored}
        both = sorted(mine.keys() & other.keys())
        if both:
            ours.append(np.array([mine[seed] for seed in both]))
            theirs.append(np.array([other[seed] for seed in both]))
    return Comparison(
        arm=arm,
        against=against,
        task=scales[0].task if raw else None,
        unit=scales[0].unit if raw else "",
        pairs=sum(map(len, ours)),
        tasks=len(ours),
        difference=statistics.small_sample_mean([x - y for x, y in zip(ours, theirs, strict=True)], bootstrap),
        improvement=statistics.probability_of_improvement(ours, theirs, bootstrap),
        confidence=bootstrap.confidence,
    )


def _cost(sweep: Sweep, arm: str) -> Cost:
    mine = of(sweep, arm)
    finished = [result for result in mine if result.status == "finished"]

    def mean(value: Callable[[SearchResult], float]) -> float:
        return math.fsum(map(value, finished)) / len(finished) if finished else math.nan

    return Cost(
        arm=arm,
        searches=len(finished),
        steps=mean(lambda result: result.steps),
        tokens=mean(lambda result: result.tokens),
        dollars=mean(lambda result: result.dollars),
        hours=mean(lambda result: result.hours),
        total_steps=sum(result.steps for result in mine),
        total_dollars=math.fsum(result.dollars for result in mine),
        total_hours=math.fsum(result.hours for result in mine),
    )


def _benefit(sweep: Sweep, arm: str, by: str, scales: Sequence[Scale], bootstrap: Bootstrap) -> Benefit | None:
    """None where nothing was spent, or not every task has a search that tells how it went."""
    paths: list[list[list[tuple[float, float]]]] = []
    for scale in scales:
        scored = [result for result in of(sweep, arm, scale.task) if result.scored]
        told = [[(getattr(point, by), scale(point.score)) for point in result.progress] for result in scored]
        finite = [[pair for pair in each if all(map(math.isfinite, pair))] for each in told]
        paths.append([each for each in finite if each])
    if not paths or not all(paths):
        return None
    first = max(each[0][0] for task in paths for each in task)  # from here on, every search has a candidate
    costs = np.unique([cost for task in paths for each in task for cost, _ in each if cost >= first])
    if costs[-1] <= 0.0:
        return None
    if len(costs) > BENEFIT_POINTS:
        costs = np.linspace(costs[0], costs[-1], BENEFIT_POINTS)
    found = []
    for cost in costs:
        reached = [[max((p for p in each if p[0] <= cost), key=lambda p: p[0])[1] for each in task] for task in paths]
        found.append(statistics.estimate(statistics.iqm, [np.array(task) for task in reached], bootstrap))
    return Benefit(
        arm,
        by,
        tuple(map(float, costs)),
        tuple(each.value for each in found),
        tuple(each.low for each in found),
        tuple(each.high for each in found),
    )


def _standing(sweep: Sweep, arm: str) -> ArmStanding:
    mine = of(sweep, arm)
    scored = sum(result.scored for result in mine)
    finished = sum(result.status == "finished" for result in mine)
    counts = {status: sum(result.status == status for result in mine) for status in ("failed", "missing")}
    return ArmStanding(
        arm=arm,
        planned=len(mine),
        scored=scored,
        unscored=finished - scored,
        failed=counts["failed"],
        unfinished=sum(result.status in ("running", "interrupted") for result in mine),
        missing=counts["missing"],
    )
