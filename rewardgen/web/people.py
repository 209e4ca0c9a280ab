"""Judgements and remarks of people on a run, as values for templates."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from rewardgen.preference import agreement, strengths, words_about
from rewardgen.records import Judgement, Order, Remark, Standing, Words, candidate_of
from rewardgen.report import facts
from rewardgen.store import MAX_WORDS, RunView
from rewardgen.text import number
from rewardgen.web.context import new_id, seal

_WORDS = 50
"""Number of remarks on a run's page, the latest ones."""


@dataclass(frozen=True)
class RankedCandidate:
    """A candidate's rank by judgements, and by fitness among the same candidates."""

    standing: Standing
    place: int
    by_fitness: int | None
    low: float
    high: float
    at: float
    """``low``, ``high`` and ``at``: the interval and the strength, scaled to [0, 1] over all candidates."""


@dataclass(frozen=True)
class People:
    """``judges``: names and counts of answers. ``agreement``: Kendall's τ with the fitness, "" if undefined."""

    places: tuple[RankedCandidate, ...]
    judges: tuple[tuple[str, int], ...]
    agreement: str
    words: tuple[Words, ...]


def people_rows(view: RunView) -> People | None:
    """Summarise the judgements on a run; None if there are none."""
    said: list[Judgement | Order | Remark] = [*view.judgements, *view.orders, *view.remarks]
    if not said:
        return None
    # Rank the candidates that were judged
    named = {candidate_of(side) for each in view.judgements for side in (each.left, each.right)}
    named |= {key for each in view.orders for key in each.candidates}
    known = [key for key in view.candidates if key in named]
    places: tuple[RankedCandidate, ...] = ()
    tau = ""
    if len(known) > 1:
        ranking = strengths(known, view.judgements, view.orders).ranking()
        # Compare with the ranking by fitness
        fitness = {key: score for key, score in facts.fitness(view).items() if key in named}
        places = _places(ranking, sorted(fitness, key=lambda key: -fitness[key]))
        value = agreement(ranking, fitness)
        # NaN differs from itself
        tau = number(value) if value == value else ""
    words = words_about(view.candidates, view.judgements, view.orders, view.remarks)
    return People(places, tuple(Counter(each.judge for each in said).most_common()), tau, words[-_WORDS:][::-1])


def _places(ranking: list[Standing], by_fitness: list[str]) -> tuple[RankedCandidate, ...]:
    """Return the ranking with intervals on a common scale."""
    # Equal bounds would divide by zero
    low, high = min(each.low for each in ranking), max(each.high for each in ranking)
    span = (high - low) or 1.0
    return tuple(
        RankedCandidate(
            standing=each,
            place=place,
            by_fitness=by_fitness.index(each.candidate) + 1 if each.candidate in by_fitness else None,
            low=(each.low - low) / span,
            high=(each.high - low) / span,
            at=(each.value - low) / span,
        )
        for place, each in enumerate(ranking, start=1)
    )


def remarks_on(request: Request, view: RunView, replay: str) -> dict[str, Any]:
    """Return the template values for the remarks on one replay and the form for a new one."""
    return {
        "replay": replay,
        "remarks": [each for each in view.remarks if each.replay == replay],
        "seal": seal(request, view, "replay", replay),
        "id": new_id(),
        "max_words": MAX_WORDS,
    }
