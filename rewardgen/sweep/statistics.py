"""Statistics over many searches: aggregates over tasks and seeds, each with an interval.

The definitions are those of Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
(NeurIPS 2021), whose library is rliable: interquartile mean, probability of improvement and performance profiles, with
percentile intervals from a stratified bootstrap, which resamples the seeds of each task. Here the tasks may have
different numbers of seeds, an interval needs two seeds of every task, and the caller owns the randomness.

``small_sample_mean`` of differences that are paired by task and seed is what conclusions are drawn from: its interval
is widened for few seeds, for which percentiles are known to be too narrow.
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
"""Maps strata to one value per resample ``(resamples,)``."""

_BATCH = 1 << 23  # numbers at a time, to bound the memory of comparing all with all


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; the bounds are NaN if the data do not give any."""

    value: float
    low: float
    high: float

    @property
    def bounded(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def excludes(self, value: float) -> bool:
        """Return whether ``value`` lies outside of the interval; False if there is none."""
        return self.bounded and not self.low <= value <= self.high


NOTHING = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are computed: ``resamples`` draws from ``seed``, bounds at ``confidence`` such as 0.95.

    Each interval has its own generator, so that none depends on which others are computed.
    """

    confidence: float = 0.95
    resamples: int = 5000
    seed: int = 0

    def generator(self) -> np.random.Generator:
        """Return a new generator."""
        return np.random.default_rng(self.seed)

    def percentiles(self, values: Values) -> Values:
        """Return the bounds of resampled values ``(resamples, ...)`` as ``(2, ...)``."""
        tail = (1.0 - self.confidence) / 2.0
        return np.asarray(np.quantile(values, [tail, 1.0 - tail], axis=0))


# ---- aggregates of one arm


def iqm(strata: Strata) -> Values:
    """Return the interquartile mean: the mean of the middle half of all scores, of all tasks and seeds."""
    return np.asarray(stats.trim_mean(np.concatenate(strata, axis=-1), 0.25, axis=-1))


def mean(strata: Strata) -> Values:
    """Return the mean over tasks of the mean over seeds."""
    return np.mean([each.mean(-1) for each in strata], axis=0)


def median(strata: Strata) -> Values:
    """Return the median over tasks of the mean over seeds."""
    return np.median([each.mean(-1) for each in strata], axis=0)


def estimate(statistic: Statistic, strata: Strata, bootstrap: Bootstrap) -> Estimate:
    """Return ``statistic`` of the scores with its stratified bootstrap interval."""
    if not strata or any(not len(each) for each in strata):
        return NOTHING
    value = float(statistic(strata))
    if not _enough(strata):
        return Estimate(value, math.nan, math.nan)
    low, high = bootstrap.percentiles(statistic(_resampled(strata, bootstrap.resamples, bootstrap.generator())))
    return Estimate(value, float(low), float(high))


def performance_profile(strata: Strata, thresholds: Values, bootstrap: Bootstrap) -> tuple[Values, Values, Values]:
    """Return the share of scores above each of the ``thresholds`` ``(n,)``, and its pointwise bounds; each ``(n,)``.

    This is rliable's score distribution. The bounds are NaN if a task has a single seed.
    """

    def profile(of: Strata) -> Values:
        """Return the shares ``(..., n)``."""
        every = np.concatenate(of, axis=-1)
        return np.stack([(every > threshold).mean(-1) for threshold in thresholds], axis=-1)

    # The bootstrap resamples each task's seeds
    shares = profile(strata)
    if not _enough(strata):
        nothing = np.full(len(thresholds), math.nan)
        return shares, nothing, nothing
    low, high = bootstrap.percentiles(profile(_resampled(strata, bootstrap.resamples, bootstrap.generator())))
    return shares, low, high


# ---- one arm against another


def probability_of_improvement(ours: Strata, theirs: Strata, bootstrap: Bootstrap) -> Estimate:
    """Return the probability that a seed of ``ours`` beats one of ``theirs`` on the same task, averaged over tasks.

    Ties count half: Mann and Whitney's U over the number of pairs. Both sides' seeds are resampled independently, as in
    rliable.

    Args:
        ours, theirs: for the same tasks, in the same order.
    """
    if not ours or any(not len(each) for each in (*ours, *theirs)):
        return NOTHING
    value = float(np.mean([_share_better(x, y) for x, y in zip(ours, theirs, strict=True)]))
    if not _enough(ours) or not _enough(theirs):
        return Estimate(value, math.nan, math.nan)
    # Resample in batches
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
    """Return the mean over tasks of the mean over seeds, with an interval that is valid for few seeds too.

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
    # Bootstrap within each task; correct the variance that n seeds do not show
    drawn = _resampled(strata, bootstrap.resamples, bootstrap.generator())
    deviations = np.mean(
        [
            (resample.mean(-1) - own.mean()) * math.sqrt(len(own) / (len(own) - 1))
            for own, resample in zip(strata, drawn, strict=True)
        ],
        axis=0,
    )
    # Widen from the normal's to Student's quantile
    low, high = bootstrap.percentiles(deviations)
    upper = 0.5 + bootstrap.confidence / 2.0
    factor = float(stats.t.ppf(upper, _degrees(strata)) / stats.norm.ppf(upper))
    return Estimate(value, value + factor * min(float(low), 0.0), value + factor * max(float(high), 0.0))


def _degrees(strata: Strata) -> float:
    """Return the degrees of freedom of the mean over tasks, by Welch and Satterthwaite."""
    errors2 = [float(each.var(ddof=1)) / len(each) for each in strata]
    denominator = math.fsum(error2**2 / (len(each) - 1) for error2, each in zip(errors2, strata, strict=True))
    return math.fsum(errors2) ** 2 / denominator if denominator > 0 else math.inf


def _enough(strata: Strata) -> bool:
    """Return whether every task has several seeds: a single one would seem not to vary at all."""
    return all(len(each) > 1 for each in strata)


def _resampled(strata: Strata, resamples: int, generator: np.random.Generator) -> list[Values]:
    """Return each task's scores resampled with replacement, ``(resamples, seeds)``."""
    return [each[generator.integers(len(each), size=(resamples, len(each)))] for each in strata]


def _share_better(x: Values, y: Values) -> Values:
    """Return the share of pairs of ``x`` ``(..., n)`` and ``y`` ``(..., m)`` with x > y, ties half; ``(...)``."""
    left, right = x[..., :, None], y[..., None, :]
    return np.asarray((left > right).mean((-2, -1)) + 0.5 * (left == right).mean((-2, -1)))
