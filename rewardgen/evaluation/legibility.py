"""Estimate how much of the differences between a search's scores is due to seeds, and advise on seeds and steps.

Everything is derived from the trainings' curves, so a resumed run reports the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from rewardgen.evaluation.intraclass import (
    LEGIBLE,
    Intraclass,
    intraclass,
    reliability,
    seeds_needed,
    without_seed_means,
)
from rewardgen.records import TrainingResult

CONFIDENCE = 0.8
"""Confidence of the interval of the seeds' share; with few seeds, a higher one would always be too wide."""
MOST_SEEDS = 64
"""Largest number of seeds that is advised."""
_WIDEST = 0.9  # max. width of the interval of the seeds' share for any advice
_TREND_POINTS = 4  # consecutive rising checkpoints needed to extrapolate a trend
_TREND_DF = 8  # and degrees of freedom within rewards: with fewer, the shares are noise
_FURTHEST = 2.0  # max. extrapolation, as a multiple of the trained steps

Keep = Literal["best", "own", "last"]
Generation = Sequence[Sequence[TrainingResult]]
"""The candidates of a generation: each one's trainings, those on fresh seeds among them."""


@dataclass(frozen=True)
class Legibility:
    """How much of the differences between a search's scores is due to training seeds.

    ``seeds`` is how many seeds the ranked scores are means of (``search.seeds``), ``steps`` those of a training.
    ``estimate`` holds the variance components of single scores, None if they cannot be estimated yet; ``missing`` says
    why. ``by_steps`` is the rewards' share of the variance of single scores at each checkpoint.
    """

    seeds: int
    steps: int
    estimate: Intraclass | None
    by_steps: tuple[tuple[int, float], ...]
    missing: str = ""

    @property
    def seeds_share(self) -> float:
        """The share of the variance of the ranked scores that is due to seeds; NaN if unknown."""
        return math.nan if self.estimate is None else 1.0 - reliability(self.estimate.icc, self.seeds)

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of ``seeds_share`` with confidence ``CONFIDENCE``; NaN if unknown."""
        if self.estimate is None:
            return math.nan, math.nan
        return 1.0 - reliability(self.estimate.high, self.seeds), 1.0 - reliability(self.estimate.low, self.seeds)

    @property
    def vague(self) -> bool:
        """Whether the degrees of freedom are too few for any advice."""
        low, high = self.interval
        return not high - low <= _WIDEST

    @property
    def unreadable(self) -> bool:
        """Whether even the favourable end of the interval leaves the rewards less than ``LEGIBLE``."""
        return self.interval[0] > 1.0 - LEGIBLE

    @property
    def needed_seeds(self) -> int | None:
        """Seeds whose mean gives the rewards a share of ``LEGIBLE``; None: unknown, or more than ``MOST_SEEDS``."""
        found = None if self.estimate is None else seeds_needed(self.estimate.icc)
        return found if found is not None and found <= MOST_SEEDS else None

    @property
    def needed_steps(self) -> int | None:
        """Steps of a training at which the ranked scores give the rewards a share of ``LEGIBLE``; None: not known.

        Where that holds at the last checkpoint, the earliest since when it has held; else the last of two or more
        neighbouring checkpoints where it held; else what the trend over the last checkpoints leads to, if it is one:
        a share that rose at each of them, with enough degrees of freedom, and that needs no more than twice the steps.
        """
        if self.estimate is None:
            return None
        points = [(steps, reliability(share, self.seeds)) for steps, share in self.by_steps]
        held = [steps for steps, share in points if share >= LEGIBLE]
        if points and points[-1][1] >= LEGIBLE:
            below = [steps for steps, share in points if share < LEGIBLE]
            return next(steps for steps in held if not below or steps > below[-1])
        # Two neighbouring checkpoints must be above: a single one may be chance
        stretches = [
            steps
            for (steps, share), (_, former) in zip(points[1:], points, strict=False)
            if min(share, former) >= LEGIBLE
        ]
        return stretches[-1] if stretches else self._continued(points)

    def _continued(self, points: Sequence[tuple[int, float]]) -> int | None:
        # Extrapolate linearly, if the share rose at each of the last checkpoints
        last = points[-_TREND_POINTS:]
        assert self.estimate is not None  # asked for by needed_steps
        rising = all(later > former for (_, later), (_, former) in zip(last[1:], last, strict=False))
        if len(last) < _TREND_POINTS or not rising or self.estimate.within_df < _TREND_DF:
            return None
        (first_steps, first_share), (last_steps, last_share) = last[0], last[-1]
        slope = (last_share - first_share) / (last_steps - first_steps)
        wanted = last_steps + (LEGIBLE - last_share) / slope
        unit = 10 ** (int(math.log10(wanted)) - 1)  # round up to two significant digits
        rounded = math.ceil(wanted / unit) * unit
        return rounded if rounded <= _FURTHEST * last_steps else None

    @property
    def sentence(self) -> str:
        """State the result and the advice in one sentence."""
        if self.estimate is None:
            return (
                f"How much of the differences between these scores is due to seeds cannot be told yet: {self.missing}"
            )
        low, high = self.interval
        said = f"Seeds explain {_percent(self.seeds_share)}"
        said += f" ({_percent(CONFIDENCE)} interval {100 * low:.0f} to {_percent(high)}) of the differences"
        said += " between these scores"
        if self.vague:
            return f"{said}: too few seeds to say more. --seeds {self.seeds + 1} would tell more."
        if self.seeds_share <= 1.0 - LEGIBLE:
            early = self.needed_steps
            shorter = f"; so it could at {early:,} steps" if early is not None and early <= 0.7 * self.steps else ""
            return f"{said}: the order of the candidates can be read{shorter}."
        return f"{said}: {self._advice()}."

    def _advice(self) -> str:
        seeds, steps = self.needed_seeds, self.needed_steps
        ways = [f"{seeds} seeds (--seeds {seeds})"] if seeds is not None else []
        ways += [f"{steps:,} steps (--steps {steps})"] if steps is not None else []
        if ways:
            return f"{' or '.join(ways)} would tell them apart"
        return (
            f"not even {MOST_SEEDS} seeds would tell them apart; try more steps (--steps), or rewards that differ more"
        )


def legibility(generations: Iterable[Generation], *, seeds: int, steps: int, keep: Keep = "best") -> Legibility:
    """Estimate the variance components of a search's scores from its own trainings.

    Candidates are compared within their generation, and only those whose trainings all went to the end: what a race
    stopped has scores of fewer steps. The variance due to seeds is pooled over all of them that have two seeds or more
    (``search.seeds``, a race's further seeds, second measurements), without what seeds that a generation shares add to
    all of its candidates alike (``without_seed_means``). A leader that is measured again was picked for its
    first score, which makes the seeds' share look larger than it is, if anything.

    Args:
        generations: those of one restart, or of several.
        seeds: ``search.seeds``.
        steps: ``training.steps``.
        keep: ``training.keep``, which says what a training's score is.
    """
    strata = [[list(found) for found in generation if _is_whole(found)] for generation in generations]
    everyone = [training for generation in strata for found in generation for training in found]
    # The estimate at each checkpoint that all trainings reached
    count = min((len(training.curve) for training in everyone), default=0)
    by_steps = []
    for index in range(count):
        at = _estimated(strata, partial(_score_at, index=index, keep=keep))
        if at is not None:
            by_steps.append((everyone[0].curve[index].steps, at.icc))
    estimate = _estimated(strata, lambda training: training.score)
    return Legibility(seeds, steps, estimate, tuple(by_steps), "" if estimate is not None else _missing(strata))


def _estimated(strata: Sequence[Generation], score: Callable[[TrainingResult], float]) -> Intraclass | None:
    without = [without_seed_means([{t.seed: score(t) for t in found} for found in each]) for each in strata]
    return intraclass([groups for groups, _ in without], CONFIDENCE, spent=sum(spent for _, spent in without))


def scores_along(points: Sequence[tuple[float, float]], keep: Keep) -> list[float]:
    """Return the score that a training would have if it ended at each of its checkpoints (``TrainingResult.score``).

    Args:
        points: (fitness, own return) at each checkpoint.
        keep: ``training.keep``: the best fitness so far, that at the peak of the own return, or the last.
    """
    scores: list[float] = []
    best, peak = -math.inf, -math.inf
    for fitness, own_return in points:
        if keep == "last":
            scores.append(fitness)
        elif keep == "own":
            scores.append(fitness if own_return > peak or not scores else scores[-1])
            peak = max(peak, own_return)
        else:
            best = max(best, fitness) if math.isfinite(fitness) else best
            scores.append(best if math.isfinite(best) else math.nan)
    return scores


def _score_at(training: TrainingResult, index: int, keep: Keep) -> float:
    return scores_along([(point.fitness, point.own_return) for point in training.curve], keep)[index]


def _is_whole(trainings: Sequence[TrainingResult]) -> bool:
    return bool(trainings) and all(
        training.status == "done" and math.isfinite(training.score) for training in trainings
    )


def _missing(strata: Sequence[Generation]) -> str:
    if all(len(generation) < 2 for generation in strata):
        return "no generation has two candidates that trained to the end."
    if all(len(found) < 2 for generation in strata for found in generation):
        return "no candidate that trained to the end has a second seed. --seeds 2 would tell."
    return "all of them are equal."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
