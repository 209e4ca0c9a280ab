"""Return a reflection as values, for the offline author, which cannot read text."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from rewardgen.quoting import one_line
from rewardgen.records import Form, TrainingResult
from rewardgen.reflection.curves import ComponentCurve, by_checkpoint, component_curves, mean_over_seeds
from rewardgen.reflection.numbers import mean, pick
from rewardgen.reflection.text import COMPONENTS, PARTS, POINTS
from rewardgen.request import ComponentFacts, TrainingFacts
from rewardgen.text import as_told, share_as_told


def facts_of(
    trainings: Sequence[TrainingResult], parts: Collection[str] = PARTS, form: Form = "reward"
) -> TrainingFacts:
    """Return what ``reflect`` tells of a candidate's fitness and components, with the digits that it shows.

    As a baseline for language models, the offline author must not know more than they do: what ``parts`` and ``form``
    leave out of the text is not in the facts either.
    """
    # The same selection of trainings and checkpoints as in ``reflect``
    done = [training for training in trainings if training.status != "failed"]
    columns = by_checkpoint(done)
    with_fitness = "fitness" in parts
    fitness: list[float] = []
    success_rate = None
    if columns and with_fitness:
        means = mean_over_seeds(columns, lambda point: point.fitness)
        fitness = [means[index] for index in pick(len(means), POINTS)]
        bests = [best for training in done if (best := training.best) is not None]
        success_rate = share_as_told(mean([best.success_rate for best in bests])) if bests else None
    curves = component_curves(done)[:COMPONENTS] if columns and "components" in parts else []
    return TrainingFacts(
        fitness=_finite(fitness),
        success_rate=success_rate,
        components={one_line(curve.name, 40): _component(curve, with_fitness, form) for curve in curves},
    )


def _component(curve: ComponentCurve, with_fitness: bool, form: Form) -> ComponentFacts:
    return ComponentFacts(
        # Rounded as in the text, so that both authors see the same digits
        means=_finite(curve.means[index] for index in pick(len(curve.means), POINTS // 2)),
        share=share_as_told(curve.share) if form == "reward" else None,
        correlation=round(curve.correlation, 2) if with_fitness and math.isfinite(curve.correlation) else None,
    )


def _finite(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(told for value in values if (told := as_told(value)) is not None)
