"""What many searches show together: aggregates over tasks and seeds, each with an interval.

The definitions are those of Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
(NeurIPS 2021), whose library is rliable: interquartile mean, probability of improvement and performance profiles, with
percentile intervals from a stratified bootstrap, which draws anew among the seeds of each task. Here the tasks may have
different numbers of seeds, an interval needs two seeds of every task, and the randomness is the caller's.

``small_sample_mean`` of paired differences, of what has the same task and seed, is what conclusions are drawn from: its
interval is widened for few seeds, for which percentiles are known to be too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]
Strata = Sequence[Values]
"""For each task, the scores of its seeds ``(seeds,)``; in a bootstrap ``(resamples, seeds)``."""
Statistic = Callable[[Strata], Values]
"""Strata → one value for each resample ``(resamples,)``."""

_BATCH = 1 << 23  # numbers at a time: bounds the memory of comparisons of all with all


@dataclass(frozen=True)
class Estimate:
    """A value and the interval that it lies in; the bounds are NaN where the data tell none."""

    value: float
    low: float
    high: float

    @property
    def bounded(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)

    def excludes(self, value: float) -> bool:
        """Whether ``value`` lies outside of the interval; never where there is none."""
        return self.bounded and not self.low <= value <= self.high


NOTHING = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: ``resamples`` draws, bounds at ``confidence`` such as 0.95, all draws from ``seed``.

    Each interval draws from a generator of its own, so none depends on which others were asked for.
    """

    confidence: float = 0.95
    resamples: int = 5000
    seed: int = 0

    def generator(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def percentiles(self, values: Values) -> Values:
        """The bounds of resampled values ``(resamples, ...)`` as ``(2, ...)``."""
        tail = (1.0 - self.confidence) / 2.0
        return np.asarray(np.quantile(values, [tail, 1.0 - tail], axis=0))


# ---- aggregates of one arm


def iqm(strata: Strata) -> Values:
    """The interquartile mean: the mean of the middle half of all scores, tasks and seeds alike."""
    return np.asarray(stats.trim_mean(np.concatenate(strata, axis=-1), 0.25, axis=-1))


def mean(strata: Strata) -> Values:
    """The mean over tasks of the mean over seeds."""
    return np.mean([each.mean(-1) for each in strata], axis=0)


def median(strata: Strata) -> Values:
    """The median over tasks of the mean over seeds."""
    return np.median([each.mean(-1) for each in strata], axis=0)


def estimate(statistic: Statistic, strata: Strata, bootstrap: Bootstrap) -> Estimate:
    """``statistic`` of the scores with its stratified bootstrap interval."""
    if not strata or any(not len(each) for each in strata):
        return NOTHING
    value = float(statistic(strata))
    if not _enough(strata):
        return Estimate(value, math.nan, math.nan)
    low, high = bootstrap.percentiles(statistic(_resampled(strata, bootstrap.resamples, bootstrap.generator())))
    return Estimate(value, float(low), float(high))


def performance_profile(strata: Strata, thresholds: Values, bootstrap: Bootstrap) -> tuple[Values, Values, Values]:
    """The share of scores above each of the ``thresholds`` ``(n,)``, and its pointwise bounds; each ``(n,)``.

    rliable's score distribution. The bounds are NaN where a task has a single seed.
    """

    def profile(of: Strata) -> Values:
        every = np.concatenate(of, axis=-1)
        return np.stack([(every > threshold).mean(-1) for threshold in thresholds], axis=-1)

    shares = profile(strata)
    if not _enough(strata):
        nothing = np.full(len(thresholds), math.nan)
        return shares, nothing, nothing
    low, high = bootstrap.percentiles(profile(_resampled(strata, bootstrap.resamples, bootstrap.generator())))
    return shares, low, high


# ---- one arm against another


def probability_of_improvement(ours: Strata, theirs: Strata, bootstrap: Bootstrap) -> Estimate:
    """How probably a seed of ``ours`` beats one of ``theirs`` on the same task, ties half, averaged over tasks.

    Mann and Whitney's U over the number of pairs. The seeds of both sides are drawn independently, as in rliable.

    Args:
        ours, theirs: for the same tasks, in the same order.
    """
    if not ours or any(not len(each) for each in (*ours, *theirs)):
        return NOTHING
    value = float(np.mean([_share_better(x, y) for x, y in zip(ours, theirs, strict=True)]))
    if not _enough(ours) or not _enough(theirs):
        return Estimate(value, math.nan, math.nan)
    generator = bootstrap.generator()
    shares = np.zeros(bootstrap.resamples)
    for x, y in zip(ours, theirs, strict=True):
        step = max(1, _BATCH // (len(x) * len(y)))
        for start in range(0, bootstrap.resamples, step):
            size = min(step, bootstrap.resamples - start)
            (drawn_x,), (drawn_y,) = _resampled([x], size, generator), _resampled([y], size, generator)
            shares[start : start + size] += _share_better(drawn_x, drawn_y)
    low, high = bootstrap.percentiles(shares / len(ours))
    return Estimate(value, float(low), float(high))


def small_sample_mean(strata: Strata, bootstrap: Bootstrap) -> Estimate:
    """The mean over tasks of the mean over seeds, with an interval that holds with few seeds too.

    A bootstrap within each task. n seeds show only (n − 1)/n of their variance, and percentiles of the normal's tails
    are too thin for few of them (Hesterberg, 2015, "What Teachers Should Know About the Bootstrap"): each task's
    deviations are widened by √(n/(n − 1)), and all by the ratio of Student's quantile to the normal's, with Welch's and
    Satterthwaite's degrees of freedom. For normal differences on one task this is the paired t-interval.

    Args:
        strata: for each task, one value of each seed: a score, or the difference between two arms' scores.
    """
    if not strata or any(not len(each) for each in strata):
        return NOTHING
    value = float(mean(strata))
    if not _enough(strata):
        return Estimate(value, math.nan, math.nan)
    drawn = _resampled(strata, bootstrap.resamples, bootstrap.generator())
    away = np.mean(
        [
            (resample.mean(-1) - own.mean()) * math.sqrt(len(own) / (len(own) - 1))
            for own, resample in zip(strata, drawn, strict=True)
        ],
        axis=0,
    )
    low, high = bootstrap.percentiles(away)
    upper = 0.5 + bootstrap.confidence / 2.0
    widen = float(stats.t.ppf(upper, _degrees(strata)) / stats.norm.ppf(upper))
    return Estimate(value, value + widen * min(float(low), 0.0), value + widen * max(float(high), 0.0))


def _degrees(strata: Strata) -> float:
    """Degrees of freedom of the mean over tasks, by Welch and Satterthwaite."""
    errors2 = [float(each.var(ddof=1)) / len(each) for each in strata]
    below = math.fsum(error2**2 / (len(each) - 1) for error2, each in zip(errors2, strata, strict=True))
    return math.fsum(errors2) ** 2 / below if below > 0 else math.inf


def _enough(strata: Strata) -> bool:
    """Whether every task has seeds to draw among: a single one would seem not to vary at all."""
    return all(len(each) > 1 for each in strata)


def _resampled(strata: Strata, resamples: int, generator: np.random.Generator) -> list[Values]:
    """Each task's scores drawn anew with replacement, ``(resamples, seeds)``."""
    return [each[generator.integers(len(each), size=(resamples, len(each)))] for each in strata]


def _share_better(x: Values, y: Values) -> Values:
    """The share of pairs of ``x`` ``(..., n)`` and ``y`` ``(..., m)`` in which x is greater, ties half; ``(...)``."""
    ahead, behind = x[..., :, None], y[..., None, :]
    return np.asarray((ahead > behind).mean((-2, -1)) + 0.5 * (ahead == behind).mean((-2, -1)))
