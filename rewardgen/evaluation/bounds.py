"""How sure a handful of checkpoints makes one of a reward: what races and choices between candidates go by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from rewardgen.records import Checkpoint

PRIOR_SEEDS = 4.0
"""How many seeds the spread that all candidates share counts for beside a candidate's own."""
SEEDS_SHARE = 0.25
"""Share of the variance between candidates of one seed each that is put down to their seeds, where nothing is known."""


@dataclass(frozen=True)
class Bounds:
    """The ``mean`` over ``seeds`` and the interval that it lies in; all NaN where there is no finite fitness."""

    mean: float
    low: float
    high: float
    seeds: int

    def overlaps(self, other: Bounds) -> bool:
        """Whether the two intervals share a point; what is not a number shares none."""
        return self.low <= other.high and other.low <= self.high


def bounds(
    candidates: Mapping[str, Sequence[Checkpoint]], confidence: float, others: Iterable[Sequence[Checkpoint]] = ()
) -> dict[str, Bounds]:
    """Intervals of several candidates' true fitness, each from one checkpoint of each of its training seeds.

    Trainings of the same reward differ from seed to seed far more than episodes of one policy do, and two or three
    seeds say little of how much. So the variance between seeds is borrowed from all: a candidate's own s² with n − 1
    degrees of freedom and the pooled one with ``PRIOR_SEEDS`` (or what the pool has, if that is less) are averaged by
    their degrees of freedom, and Student's quantile is that of their sum: the moderated t of Smyth (2004), "Linear
    models and empirical Bayes methods". That also gives a candidate with a single seed an honest width.

    Where nobody has a second seed, seeds and rewards cannot be told apart. Then ``SEEDS_SHARE`` of the variance between
    three or more candidates is put down to seeds. The variance of a mean over episodes is the least that an interval
    shows.

    Args:
        candidates: key → its checkpoints, one for each seed.
        confidence: such as 0.8: the share of the two-sided interval. 0 gives the mean alone.
        others: checkpoints of further candidates, from which the variance between seeds is learned and nothing else.
    """
    usable = {key: _finite(points) for key, points in candidates.items()}
    own = {key: (_variance([point.fitness for point in points]), len(points) - 1) for key, points in usable.items()}
    known = [(_variance([p.fitness for p in points]), len(points) - 1) for points in map(_finite, others)]
    pool = [(s2, degrees) for s2, degrees in (*own.values(), *known) if degrees > 0]
    freedom: float = sum(degrees for _, degrees in pool)
    means = {key: math.fsum(p.fitness for p in points) / len(points) for key, points in usable.items() if points}
    if freedom:
        pooled = math.fsum(s2 * degrees for s2, degrees in pool) / freedom
    elif len(means) >= 3:
        pooled, freedom = SEEDS_SHARE * _variance(list(means.values())), len(means) - 1
    else:
        pooled = 0.0
    prior = min(PRIOR_SEEDS, freedom)
    found = {}
    for key, points in usable.items():
        if not points:
            found[key] = Bounds(math.nan, math.nan, math.nan, len(candidates[key]))
            continue
        error2, degrees_left = _episodes_error2(points)
        if freedom:
            s2, degrees = own[key]
            between2 = (prior * pooled + degrees * s2) / (prior + degrees) / len(points)
            if between2 >= error2:
                error2, degrees_left = between2, prior + degrees
        half = float(stats.t.ppf(0.5 + confidence / 2.0, degrees_left)) * math.sqrt(error2) if error2 > 0.0 else 0.0
        found[key] = Bounds(means[key], means[key] - half, means[key] + half, len(points))
    return found


def _finite(points: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
    """``points``, or nothing where one of them has no finite fitness."""
    return points if all(math.isfinite(point.fitness) for point in points) else ()


def _variance(values: Sequence[float]) -> float:
    """Sample variance, 0 below two values. Summed exactly: bounds are stored, and numpy.var rounds differently."""
    if len(values) < 2:
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _episodes_error2(points: Sequence[Checkpoint]) -> tuple[float, float]:
    """The squared standard error of the mean over all episodes of all seeds, and its degrees of freedom."""
    # fitness_std is over n episodes, not n − 1
    each = [point.fitness_std**2 / max(point.episodes - 1, 1) for point in points]
    degrees = sum(max(point.episodes - 1, 1) for point in points)
    error2 = math.fsum(each) / len(points) ** 2
    return (error2, degrees) if math.isfinite(error2) else (0.0, degrees)
