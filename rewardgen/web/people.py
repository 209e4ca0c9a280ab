"""What people said of a run, as rows of a table."""

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
from rewardgen.web.asking import new_id, seal

_WORDS = 50
"""Words that the page of a run shows, the latest."""


@dataclass(frozen=True)
class RankedCandidate:
    """A candidate's place by what people said, and by true fitness among the same candidates."""

    standing: Standing
    place: int
    by_fitness: int | None
    low: float
    high: float
    at: float
    """The interval and the strength on a scale from 0 to 1 over all of them."""


@dataclass(frozen=True)
class People:
    """``judges``: who said how much. ``agreement``: Kendall's τ with the true fitness, "" where it says nothing."""

    places: tuple[RankedCandidate, ...]
    judges: tuple[tuple[str, int], ...]
    agreement: str
    words: tuple[Words, ...]


def people_rows(view: RunView) -> People | None:
    """None where nobody has said anything."""
    said: list[Judgement | Order | Remark] = [*view.judgements, *view.orders, *view.remarks]
    if not said:
        return None
    named = {candidate_of(side) for each in view.judgements for side in (each.left, each.right)}
    named |= {key for each in view.orders for key in each.candidates}
    known = [key for key in view.candidates if key in named]
    places: tuple[RankedCandidate, ...] = ()
    tau = ""
    if len(known) > 1:
        ranking = strengths(known, view.judgements, view.orders).ranking()
        fitness = {key: score for key, score in facts.fitness(view).items() if key in named}
        places = _places(ranking, sorted(fitness, key=lambda key: -fitness[key]))
        value = agreement(ranking, fitness)
        tau = number(value) if value == value else ""
    words = words_about(view.candidates, view.judgements, view.orders, view.remarks)
    return People(places, tuple(Counter(each.judge for each in said).most_common()), tau, words[-_WORDS:][::-1])


def _places(ranking: list[Standing], by_fitness: list[str]) -> tuple[RankedCandidate, ...]:
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
    """What a page needs to show and take words about one replay."""
    return {
        "replay": replay,
        "remarks": [each for each in view.remarks if each.replay == replay],
        "seal": seal(request, view, "replay", replay),
        "id": new_id(),
        "max_words": MAX_WORDS,
    }
