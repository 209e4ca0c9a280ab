"""Analyses a sweep's results: per task, over all tasks, and each arm against the one it is compared with."""

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
"""What a search uses, by the names of ``SpentAndScore``."""
BENEFIT_POINTS = 60
"""Max. number of costs at which the benefit is computed."""
PROFILE_POINTS = 121
"""Number of thresholds of a performance profile."""


@dataclass(frozen=True)
class Scale:
    """The scores that 0 and 1 of a task's human-normalised score stand for.

    ``apart``: the intervals of the two do not overlap; otherwise the scale is mostly noise. ``varies``: searches of the
    task measured the two differently, because their arms train differently.
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
        """Whether both scores were measured and differ."""
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
    """One arm over ``tasks``. Everything but ``success`` is of human-normalised scores."""

    arm: str
    tasks: tuple[str, ...]
    scores: int
    iqm: Estimate
    mean: Estimate
    median: Estimate
    success: Estimate


@dataclass(frozen=True)
class Profile:
    """The share of an arm's searches with a normalised score above each threshold, with pointwise bounds."""

    arm: str
    thresholds: tuple[float, ...]
    shares: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """``arm`` against ``against`` on the tasks and seeds that both have.

    ``difference`` is that of human-normalised scores, or of fitness if there is one ``task``; ``supported``: its
    interval excludes zero.
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
        """Whether the interval of the difference excludes zero."""
        return self.difference.excludes(0.0)


@dataclass(frozen=True)
class Cost:
    """What an arm's searches used: the mean over those that finished, and in total. NaN: unknown."""

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
    """The interquartile mean of the best scores so far of an arm's searches, by what each had cost until then.

    ``by`` is "steps", "dollars" or "hours" (of training). The scores are those that select, not the reported ones.
    Bounds are pointwise.
    """

    arm: str
    by: str
    costs: tuple[float, ...]
    scores: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class ArmStanding:
    """The states of an arm's searches. ``unscored`` ones finished without a reward that could be measured."""

    arm: str
    planned: int
    scored: int
    unscored: int
    failed: int
    unfinished: int
    missing: int


@dataclass(frozen=True)
class Analysis:
    """Everything that a report shows. ``aggregates`` and ``profiles`` are over ``common`` tasks; see ``analyse``."""

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
        """Return the scale of a task."""
        return next(scale for scale in self.scales if scale.task == task)

    def cell(self, arm: str, task: str) -> Cell:
        """Return an arm's results on a task."""
        return next(cell for cell in self.cells if (cell.arm, cell.task) == (arm, task))


def analyse(sweep: Sweep, *, baseline: str | None = None, bootstrap: Bootstrap | None = None) -> Analysis:
    """Analyse a sweep.

    A task has one scale for all arms: the scores of the expert's and the sparse reward, as measured by the first arm's
    first search that has both. Aggregates are over the tasks that have a scale and at least one score of every arm with
    any score: an arm must not seem better because its hard tasks are missing. Comparisons use every task and seed that
    both arms have. Their intervals hold together: for k comparisons, each is at 1 − (1 − confidence)/k (Bonferroni).

    Args:
        baseline: the arm that the others are compared with; default: the first.

    Raises:
        UnknownName: there is no arm named ``baseline``.
    """
    baseline = baseline or sweep.arms[0]
    if baseline not in sweep.arms:
        raise UnknownName("arm", baseline, sweep.arms)
    bootstrap = bootstrap or Bootstrap()
    # Scales and cells of all tasks
    scales = tuple(_scale(sweep, task) for task in sweep.tasks)
    cells = tuple(_cell(sweep, arm, scale, bootstrap) for arm in sweep.arms for scale in scales)
    # Aggregates use the tasks that all arms have
    common = _common(cells, scales)
    of_common = {arm: [c for c in cells if c.arm == arm and c.task in common and c.scores] for arm in sweep.arms}
    of_common = {arm: own for arm, own in of_common.items() if own}
    # Comparisons share one error rate
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
        aggregates=tuple(_aggregate(arm, own, bootstrap) for arm, own in of_common.items()),
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
    """Return the results of an arm, for one task or for all."""
    return [result for result in sweep.results if result.arm == arm and task in (None, result.task)]


def _scale(sweep: Sweep, task: str) -> Scale:
    """Return the scale of a task, from the first search that measured both references."""
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
    """Return whether two intervals overlap."""
    return not (one.low > other.high or one.high < other.low)


def _cell(sweep: Sweep, arm: str, scale: Scale, bootstrap: Bootstrap) -> Cell:
    """Summarise an arm on a task."""
    # Only finished searches with a score count
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
    """Return the estimate of a share with bounds in [0, 1]."""
    return Estimate(share.value, max(share.low, 0.0), min(share.high, 1.0)) if share.bounded else share


def _common(cells: Sequence[Cell], scales: Sequence[Scale]) -> tuple[str, ...]:
    """Return the tasks that aggregates are over: those with a scale and a score of every arm that has any."""
    scored_arms = {cell.arm for cell in cells if cell.scores}
    known = [scale.task for scale in scales if scale.known]
    return tuple(
        task
        for task in known
        if scored_arms and all(cell.scores for cell in cells if cell.task == task and cell.arm in scored_arms)
    )


def _aggregate(arm: str, cells: Sequence[Cell], bootstrap: Bootstrap) -> Aggregate:
    """Summarise an arm over tasks."""
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
    """Return the performance profiles of all arms, at the same thresholds."""
    every = [value for own in cells.values() for cell in own for value in cell.normalised]
    if not every:
        return []
    # Thresholds cover all scores, and 0 and 1
    margin = 0.05 * ((max(every) - min(every)) or 1.0)
    thresholds = np.linspace(min(0.0, min(every)) - margin, max(1.0, max(every)) + margin, PROFILE_POINTS)
    profiles = []
    for arm, own in cells.items():
        strata = [np.array(cell.normalised) for cell in own]
        shares, low, high = statistics.performance_profile(strata, thresholds, bootstrap)
        profiles.append(Profile(arm, *(tuple(map(float, values)) for values in (thresholds, shares, low, high))))
    return profiles


def _compare(
    sweep: Sweep, arm: str, against: str, scales: Sequence[Scale], bootstrap: Bootstrap, *, raw: bool = False
) -> Comparison:
    """Compare two arms, by normalised scores or, if ``raw``, by fitness on a single task."""
    # Pair the seeds of each task
    ours: list[Values] = []
    theirs: list[Values] = []
    for scale in scales:
        if not raw and not scale.known:
            continue
        measure: Callable[[float], float] = float if raw else scale
        own = {result.seed: measure(result.found.mean) for result in of(sweep, arm, scale.task) if result.scored}
        other = {result.seed: measure(result.found.mean) for result in of(sweep, against, scale.task) if result.scored}
        both = sorted(own.keys() & other.keys())
        if both:
            ours.append(np.array([own[seed] for seed in both]))
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
    """Add up what an arm's searches used."""
    own = of(sweep, arm)
    finished = [result for result in own if result.status == "finished"]

    def mean(value: Callable[[SearchResult], float]) -> float:
        """Return the mean over finished searches."""
        return math.fsum(map(value, finished)) / len(finished) if finished else math.nan

    return Cost(
        arm=arm,
        searches=len(finished),
        steps=mean(lambda result: result.steps),
        tokens=mean(lambda result: result.tokens),
        dollars=mean(lambda result: result.dollars),
        hours=mean(lambda result: result.hours),
        total_steps=sum(result.steps for result in own),
        total_dollars=math.fsum(result.dollars for result in own),
        total_hours=math.fsum(result.hours for result in own),
    )


def _benefit(sweep: Sweep, arm: str, by: str, scales: Sequence[Scale], bootstrap: Bootstrap) -> Benefit | None:
    """Return the best score so far by cost; None if nothing was spent, or if a task has no search that tells."""
    # Each search's path: (cost, score) after each generation
    paths: list[list[list[tuple[float, float]]]] = []
    for scale in scales:
        scored = [result for result in of(sweep, arm, scale.task) if result.scored]
        paths_of_task = [[(getattr(point, by), scale(point.score)) for point in result.progress] for result in scored]
        finite = [[pair for pair in each if all(map(math.isfinite, pair))] for each in paths_of_task]
        paths.append([each for each in finite if each])
    if not paths or not all(paths):
        return None
    # Evaluate at every cost that a search reached, from where on each of them has a candidate
    first = max(each[0][0] for task in paths for each in task)
    costs = np.unique([cost for task in paths for each in task for cost, _ in each if cost >= first])
    if costs[-1] <= 0.0:
        return None
    if len(costs) > BENEFIT_POINTS:
        costs = np.linspace(costs[0], costs[-1], BENEFIT_POINTS)
    # Each search counts with the last score that it had reached at that cost
    estimates = []
    for cost in costs:
        reached = [[max((p for p in each if p[0] <= cost), key=lambda p: p[0])[1] for each in task] for task in paths]
        estimates.append(statistics.estimate(statistics.iqm, [np.array(task) for task in reached], bootstrap))
    return Benefit(
        arm,
        by,
        tuple(map(float, costs)),
        tuple(each.value for each in estimates),
        tuple(each.low for each in estimates),
        tuple(each.high for each in estimates),
    )


def _standing(sweep: Sweep, arm: str) -> ArmStanding:
    """Count an arm's searches by state."""
    own = of(sweep, arm)
    scored = sum(result.scored for result in own)
    finished = sum(result.status == "finished" for result in own)
    counts = {status: sum(result.status == status for result in own) for status in ("failed", "missing")}
    return ArmStanding(
        arm=arm,
        planned=len(own),
        scored=scored,
        unscored=finished - scored,
        failed=counts["failed"],
        unfinished=sum(result.status in ("running", "interrupted") for result in own),
        missing=counts["missing"],
    )
