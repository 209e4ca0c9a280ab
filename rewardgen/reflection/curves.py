"""Average a candidate's curves over its seeds and describe its components."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy import stats

from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.reflection.numbers import mean

CONSTANT = 0.02
"""A component whose mean changes by at most this fraction of its size over training counts as constant."""
DOMINANT = 0.8  # share of the total from which a component outweighs all others
NEGLIGIBLE = 0.01  # share of the total below which a component has no influence


@dataclass(frozen=True)
class ComponentCurve:
    """One component over training, averaged over seeds.

    ``means`` are per-step means at each checkpoint. ``share`` is the component's mean size over the sum of all
    components' mean sizes, NaN when all are zero. ``correlation`` is the mean over checkpoints of Pearson's r between
    its episode sum and the fitness, NaN where that was never defined.
    """

    name: str
    means: tuple[float, ...]
    share: float
    correlation: float

    @property
    def constant(self) -> bool:
        """Whether its mean hardly changed between checkpoints; False with fewer than two finite ones."""
        finite = [value for value in self.means if math.isfinite(value)]
        if len(finite) < 2:
            return False
        return max(finite) - min(finite) <= CONSTANT * max(abs(value) for value in finite)


def by_checkpoint(trainings: Sequence[TrainingResult]) -> list[list[Checkpoint]]:
    """Group the checkpoints of all trainings by their steps, in increasing order."""
    points: dict[int, list[Checkpoint]] = {}
    for training in trainings:
        for point in training.curve:
            points.setdefault(point.steps, []).append(point)
    return [points[steps] for steps in sorted(points)]


def mean_over_seeds(columns: Sequence[Sequence[Checkpoint]], value: Callable[[Checkpoint], float]) -> list[float]:
    """Average ``value`` at each checkpoint over the seeds where it is finite; NaN if there are none."""
    return [mean([value(point) for point in points]) for points in columns]


def component_curves(trainings: Sequence[TrainingResult]) -> list[ComponentCurve]:
    """Compute the curve of every component of ``trainings``, largest share first."""
    columns = by_checkpoint(trainings)
    # All names, in order of first appearance: seeds may have stopped at different checkpoints
    names = list(dict.fromkeys(name for points in columns for point in points for name in point.components))
    series = {name: mean_over_seeds(columns, _component(name)) for name in names}
    # A share compares mean sizes, so that penalties count as much as bonuses
    sizes = {name: mean([abs(value) for value in series[name]]) for name in names}
    total = math.fsum(size for size in sizes.values() if math.isfinite(size))
    curves = [
        ComponentCurve(
            name=name,
            means=tuple(series[name]),
            share=sizes[name] / total if total > 0 else math.nan,
            correlation=mean(mean_over_seeds(columns, _correlation(name))),
        )
        for name in names
    ]
    return sorted(curves, key=lambda curve: -curve.share if math.isfinite(curve.share) else math.inf)


def _component(name: str) -> Callable[[Checkpoint], float]:
    return lambda point: point.components.get(name, math.nan)


def _correlation(name: str) -> Callable[[Checkpoint], float]:
    return lambda point: point.correlations.get(name, math.nan)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Compute Spearman's rho over the pairs where both are finite, with mean ranks for ties; NaN below four pairs."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if math.isfinite(a) and math.isfinite(b)]
    if len(pairs) < 4:
        return math.nan
    # scipy.stats.spearmanr rounds differently in the last bit, which prompts would show: -0.1 instead of -0.10
    one, two = (stats.rankdata(values).tolist() for values in zip(*pairs, strict=True))
    centre = (len(pairs) + 1) / 2
    covariance = math.fsum((a - centre) * (b - centre) for a, b in zip(one, two, strict=True))
    spread = math.fsum((a - centre) ** 2 for a in one) * math.fsum((b - centre) ** 2 for b in two)
    return covariance / math.sqrt(spread) if spread > 0 else math.nan
