"""Bootstrap intervals for a mean over training seeds and episodes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from scipy import stats
from torch import Generator

_BATCH = 1 << 22  # drawn values at a time: bounds the memory of many resamples


def interval(
    fitness: Sequence[Sequence[float]], confidence: float, resamples: int, generator: Generator
) -> tuple[float, float]:
    """Estimate an interval for the mean over further training seeds and episodes.

    A hierarchical bootstrap: seeds are drawn with replacement, then episodes within each of them; the bounds are
    percentiles of the resampled means. With the few seeds that training affords, percentiles are too narrow: n seeds
    show only (n − 1)/n of their variance, and the normal's tails are too thin (Hesterberg, 2015, "What Teachers Should
    Know About the Bootstrap"). Their distances from the mean are therefore widened by √(n/(n − 1)) and by the ratio of
    Student's quantile with n − 1 degrees of freedom to the normal's, which makes the coverage right for normal data.
    With a single seed only its episodes are drawn, and the interval does not cover other seeds.

    Args:
        fitness: for each training seed, its episodes' fitnesses.
        confidence: such as 0.95.
        resamples: how many means are drawn.
        generator: where all randomness comes from.

    Returns:
        ``(low, high)``: equal to the mean where nothing varies, NaN where there is no episode or one is not finite.
    """
    if not fitness or any(not episodes for episodes in fitness):
        return math.nan, math.nan
    longest = max(len(episodes) for episodes in fitness)
    counts = torch.tensor([len(episodes) for episodes in fitness])
    # Pad to (seeds, longest); seeds may have different numbers of episodes
    values = torch.zeros(len(fitness), longest, dtype=torch.float64)
    for row, episodes in zip(values, fitness, strict=True):
        row[: len(episodes)] = torch.tensor(episodes, dtype=torch.float64)
    if not torch.isfinite(values).all():
        return math.nan, math.nan
    mean = float((values.sum(1) / counts).mean())
    units = len(fitness) if len(fitness) > 1 else longest
    if units < 2:
        return mean, mean
    means = _resampled_means(values, counts, resamples, generator)
    # Percentiles of the resampled means, widened for the small number of seeds
    tail = (1.0 - confidence) / 2.0
    low, high = torch.quantile(means, torch.tensor([tail, 1.0 - tail], dtype=torch.float64)).tolist()
    quantiles = float(stats.t.ppf(1.0 - tail, units - 1)) / float(stats.norm.ppf(1.0 - tail))
    widen = math.sqrt(units / (units - 1)) * quantiles
    return mean - widen * max(mean - low, 0.0), mean + widen * max(high - mean, 0.0)


def _resampled_means(values: torch.Tensor, counts: torch.Tensor, resamples: int, generator: Generator) -> torch.Tensor:
    seeds, longest = values.shape
    parts = []
    step = max(1, _BATCH // (seeds * longest))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        chosen = torch.randint(seeds, (size, seeds), generator=generator)
        chosen_counts = counts[chosen]
        place = torch.rand(size, seeds, longest, generator=generator, dtype=torch.float64) * chosen_counts[..., None]
        # every seed's mean is over as many draws as it has episodes
        drawn = values[chosen[..., None], place.long().clamp_(max=longest - 1)]
        used = torch.arange(longest) < chosen_counts[..., None]
        parts.append(((drawn * used).sum(2) / chosen_counts).mean(1))
    return torch.cat(parts)
