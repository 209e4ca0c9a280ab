"""Estimate confidence intervals of a reward's fitness from a few checkpoints, for racing and selection."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from rewardgen.records import Checkpoint

PRIOR_SEEDS = 4.0
"""Weight of the pooled variance, as a number of seeds, against a candidate's own."""
SEEDS_SHARE = 0.25
"""Share of the variance between single-seed candidates that is attributed to seeds, if nothing else is known."""


@dataclass(frozen=True)
class Bounds:
    """The ``mean`` over ``seeds`` and its interval, in the fitness's unit; all NaN if any fitness is not finite."""

    mean: float
    low: float
    high: float
    seeds: int

    def overlaps(self, other: Bounds) -> bool:
        """Return whether the two intervals share a point; NaN shares none."""
        return self.low <= other.high and other.low <= self.high


def bounds(
    candidates: Mapping[str, Sequence[Checkpoint]], confidence: float, others: Iterable[Sequence[Checkpoint]] = ()
) -> dict[str, Bounds]:
    """Estimate intervals of several candidates' fitness, each from one checkpoint per training seed.

    Trainings of the same reward vary between seeds far more than episodes of one policy do, and two or three seeds
    give a poor estimate of that variance. So it is pooled over all candidates: a candidate's own s² with n − 1
    degrees of freedom and the pooled one with ``PRIOR_SEEDS`` (or what the pool has, if that is less) are averaged by
    their degrees of freedom, and Student's quantile is that of their sum: the moderated t of Smyth (2004), "Linear
    models and empirical Bayes methods". This also covers candidates with a single seed.

    If no candidate has a second seed, the effects of seeds and rewards cannot be separated. Then ``SEEDS_SHARE`` of the
    variance between three or more candidates is attributed to seeds. The variance of the mean over episodes is a lower
    bound for every interval.

    Args:
        candidates: key → its checkpoints, one for each seed.
        confidence: such as 0.8: the share of the two-sided interval. 0 gives the mean alone.
        others: checkpoints of further candidates, from which the variance between seeds is learned and nothing else.
    """
    usable = {key: _finite(points) for key, points in candidates.items()}
    own = {key: (_variance([point.fitness for point in points]), len(points) - 1) for key, points in usable.items()}
    known = [(_variance([p.fitness for p in points]), len(points) - 1) for points in map(_finite, others)]
    # Pool the variance between seeds over all candidates that have two or more
    pool = [(s2, degrees) for s2, degrees in (*own.values(), *known) if degrees > 0]
    freedom: float = sum(degrees for _, degrees in pool)
    means = {key: math.fsum(p.fitness for p in points) / len(points) for key, points in usable.items() if points}
    if freedom:
        pooled = math.fsum(s2 * degrees for s2, degrees in pool) / freedom
    elif len(means) >= 3:
        pooled, freedom = SEEDS_SHARE * _variance(list(means.values())), len(means) - 1
    else:
        pooled = 0.0
    # Moderated variance of each candidate, and its interval
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
            # Never narrower than the spread of the episodes alone
            if between2 >= error2:
                error2, degrees_left = between2, prior + degrees
        half = float(stats.t.ppf(0.5 + confidence / 2.0, degrees_left)) * math.sqrt(error2) if error2 > 0.0 else 0.0
        found[key] = Bounds(means[key], means[key] - half, means[key] + half, len(points))
    return found


def _finite(points: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
    """Return ``points``, or nothing if the fitness of any is not finite."""
    return points if all(math.isfinite(point.fitness) for point in points) else ()


def _variance(values: Sequence[float]) -> float:
    """Sample variance, 0 below two values. Summed exactly: bounds are stored, and numpy.var rounds differently."""
    if len(values) < 2:
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _episodes_error2(points: Sequence[Checkpoint]) -> tuple[float, float]:
    """Return the squared standard error of the mean over all episodes of all seeds, and its degrees of freedom."""
    # fitness_std is over n episodes, not n − 1
    each = [point.fitness_std**2 / max(point.episodes - 1, 1) for point in points]
    degrees = sum(max(point.episodes - 1, 1) for point in points)
    error2 = math.fsum(each) / len(points) ** 2
    return (error2, degrees) if math.isfinite(error2) else (0.0, degrees)
