"""Split the variance of scores into the parts of the rewards and of their training seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import fdtri  # stats.f.ppf, without the second that scipy.stats takes to import

LEGIBLE = 0.6
"""Minimum share of the variance of scores that must be due to the rewards for their order to be meaningful."""


@dataclass(frozen=True)
class Intraclass:
    """One-way random-effects variance components of scores, and the intraclass correlation ICC(1) from them.

    ``icc`` is the share of the variance of a single score (one seed) that belongs to its reward, and ``low`` and
    ``high`` its interval with the stated ``confidence``. An estimate below 0 means that rewards differ less than their
    seeds alone would make them. ``between`` and ``within`` are the variances due to rewards (not below 0) and to seeds;
    ``groups`` rewards with ``scores`` scores in all leave ``between_df`` and ``within_df`` degrees of freedom.
    """

    icc: float
    low: float
    high: float
    confidence: float
    between: float
    within: float
    groups: int
    scores: int
    between_df: int
    within_df: int


def intraclass(
    strata: Sequence[Sequence[Sequence[float]]], confidence: float = 0.95, spent: int = 0
) -> Intraclass | None:
    """Estimate the intraclass correlation of scores: strata of groups (rewards) of scores (one per training seed).

    ICC(1) of McGraw & Wong (1996), which is ICC(1, 1) of Shrout & Fleiss (1979), with their exact interval by the F
    distribution. For groups of different sizes the mean square between groups is that of their unweighted means, and
    the harmonic mean of the sizes stands for the size (Thomas & Hultquist, 1978): the same where all sizes are equal,
    an approximation elsewhere. Groups are compared within their stratum alone, such as a generation of a search; the
    variance within groups is pooled over all strata. A group of one score adds to the variance between groups only.

    Args:
        strata: stratum → group → scores.
        confidence: of the interval.
        spent: degrees of freedom within groups that ``without_seed_means`` has taken.

    Returns:
        None if no stratum has two groups, no group has two scores, or all scores are equal.
    """
    used = [[group for group in groups if group] for groups in strata]
    between_df = sum(max(len(groups) - 1, 0) for groups in used)
    within_df = sum(len(group) - 1 for groups in used for group in groups) - spent
    if between_df < 1 or within_df < 1:
        return None
    # Mean squares within and between groups
    within = math.fsum(_squares(group) for groups in used for group in groups) / within_df
    means = [[_mean(group) for group in groups] for groups in used]
    spread = math.fsum(_squares(values) for values in means) / between_df  # E: between + within / size
    inverse = math.fsum((len(groups) - 1) * _mean([1.0 / len(group) for group in groups]) for groups in used if groups)
    size = between_df / inverse
    if within == 0.0 and spread == 0.0:
        return None
    ratio = spread * size / within if within > 0.0 else math.inf
    # Exact interval by the F distribution
    tail = (1.0 - confidence) / 2.0
    return Intraclass(
        icc=_share(ratio, size),
        low=_share(ratio / float(fdtri(between_df, within_df, 1.0 - tail)), size),
        high=_share(ratio * float(fdtri(within_df, between_df, 1.0 - tail)), size),
        confidence=confidence,
        between=max(spread - within / size, 0.0),
        within=within,
        groups=sum(map(len, used)),
        scores=sum(len(group) for groups in used for group in groups),
        between_df=between_df,
        within_df=within_df,
    )


def without_seed_means(groups: Sequence[Mapping[int, float]]) -> tuple[list[list[float]], int]:
    """Remove from the scores the mean effect of each seed that all groups share.

    Rewards trained with the same seeds start from the same weights and are measured on the same episodes. An effect
    that is common to all of them does not change their order, so it does not count as variance due to seeds.
    ``intraclass`` of the result is ICC(C, 1) of McGraw & Wong (1996), the consistency in a two-way layout, where all
    seeds are shared; what is not shared stays as it is.

    Args:
        groups: for each of the groups of one stratum seed → score.

    Returns:
        The groups' scores, and the degrees of freedom that this took (``spent``).
    """
    shared = [seed for seed in groups[0] if all(seed in group for group in groups)] if len(groups) > 1 else []
    means = {seed: _mean([group[seed] for group in groups]) for seed in shared}
    overall = _mean(list(means.values())) if means else 0.0
    scores = [[score - means.get(seed, overall) + overall for seed, score in group.items()] for group in groups]
    return scores, max(len(shared) - 1, 0)


def reliability(icc: float, seeds: int) -> float:
    """Return the share of the variance of means over ``seeds`` seeds that is due to the rewards (Spearman-Brown).

    An ``icc`` below 0 counts as 0.
    """
    share = max(icc, 0.0)
    return seeds * share / (1.0 + (seeds - 1) * share)


def seeds_needed(icc: float, wanted: float = LEGIBLE) -> int | None:
    """Return the fewest seeds whose mean has a ``reliability`` of at least ``wanted``; None if no number suffices."""
    if not icc > 0.0:
        return None
    # the tolerance keeps a share of exactly ``wanted`` from rounding up to a further seed
    return max(1, math.ceil(wanted * (1.0 - icc) / (icc * (1.0 - wanted)) - 1e-9))


def _share(ratio: float, size: float) -> float:
    """Convert a ratio of mean squares to the intraclass correlation, for groups of ``size``."""
    return 1.0 if math.isinf(ratio) else (ratio - 1.0) / (ratio - 1.0 + size)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _squares(values: Sequence[float]) -> float:
    """Return the sum of squared deviations from the mean."""
    if len(values) < 2:
        return 0.0
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values)
