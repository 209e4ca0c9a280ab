"""People's judgements next to what was measured: rankings, their agreement, and what judgements were worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rewardgen import preference
from rewardgen.quoting import one_line
from rewardgen.records import Standing, Verdict
from rewardgen.report import facts
from rewardgen.report.svg import INK, PALETTE, SOFT, WINNER, LegendKey, Picture, canvas, to_svg, variable
from rewardgen.store import GenerationView, RunView
from rewardgen.text import number

WORDS_LIMIT = 400
_LARGEST = 1e30  # matplotlib's own arithmetic overflows beyond it


@dataclass(frozen=True)
class PlaceRow:
    """A candidate's place by judgements and by fitness; ``fitness_place`` is "" if it has no fitness."""

    place: int
    key: str
    strength: str
    interval: str
    comparisons: int
    fitness: str
    fitness_place: str


@dataclass(frozen=True)
class JudgedGeneration:
    """A judged generation. ``sentence`` sums it up; ``words`` are comments as typed: (judge, candidates, text)."""

    title: str
    rows: tuple[PlaceRow, ...]
    sentence: str
    words: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class PeopleSection:
    """The section of the page. ``waiting``: what a running search is waiting for, or ""."""

    generations: tuple[JudgedGeneration, ...]
    progress: Picture | None
    scatter: Picture | None
    waiting: str


def people(view: RunView, titles: Mapping[tuple[int, int], str]) -> PeopleSection | None:
    """Return the section on a run's judges; None if nobody was asked."""
    # What the search is waiting for now
    waiting = ""
    if (wait := view.waiting) is not None:
        count = preference.heard(wait.candidates, view.judgements, view.orders, view.remarks)
        waiting = f"The search waits for people: {count} of {wait.wanted} judgements, until {wait.until}."
    # Generations that were judged
    judged = [generation for generation in view.generations if generation.verdict is not None]
    if not judged and not waiting:
        return None
    return PeopleSection(
        tuple(_generation(view, each, titles.get((each.restart, each.index), "")) for each in judged),
        progress(view),
        scatter(view),
        waiting,
    )


def _generation(view: RunView, generation: GenerationView, title: str) -> JudgedGeneration:
    """Return a judged generation with its ranking and comments."""
    verdict, fitness = generation.verdict, facts.fitness(view)
    assert verdict is not None  # the caller selects generations by it
    order = sorted((each.candidate for each in verdict.ranking if each.candidate in fitness), key=lambda k: -fitness[k])
    unit = facts.unit_of(view)
    rows = tuple(_row(place, each, fitness, order, unit) for place, each in enumerate(verdict.ranking, start=1))
    words = tuple(
        (each.judge, _about(each.about, each.answer), one_line(each.text, WORDS_LIMIT)) for each in verdict.words
    )
    return JudgedGeneration(title, rows, _sentence(verdict, fitness), words)


def _row(place: int, standing: Standing, fitness: Mapping[str, float], order: list[str], unit: str) -> PlaceRow:
    """Return a candidate's row of the ranking."""
    key = standing.candidate
    return PlaceRow(
        place=place,
        key=key,
        strength=f"{standing.value:+.2f}",
        interval=f"{standing.low:+.2f} to {standing.high:+.2f}",
        comparisons=standing.comparisons,
        fitness=f"{number(fitness[key])}{unit}" if key in fitness else "none",
        fitness_place=str(order.index(key) + 1) if key in order else "",
    )


def _about(about: tuple[str, ...], answer: str | None) -> str:
    """Return the candidates that a comment is about, and the answer that it belongs to."""
    if answer is None:
        return one_line(", ".join(about), 120)
    answers = {"left": f"{about[0]} preferred", "right": f"{about[-1]} preferred", "equal": "equal"}
    return one_line(f"{about[0]} beside {about[-1]}: {answers.get(answer, answer.replace('_', ' '))}", 120)


def _sentence(verdict: Verdict, fitness: Mapping[str, float]) -> str:
    """Return how many judgements there were, and how far they agree with the fitness."""
    tau = preference.agreement(verdict.ranking, fitness)
    count = f"{verdict.heard} judgement{'' if verdict.heard == 1 else 's'} of {verdict.wanted} wanted"
    if math.isnan(tau):
        return f"{count}; how far this agrees with the fitness cannot be said of so few."
    return f"{count}; agreement with the fitness (Kendall's tau): {tau:+.2f}."


def progress(view: RunView) -> Picture | None:
    """Draw the fitness of people's favourite by the number of judgements given."""
    fitness = facts.fitness(view)
    points = [(0.0, math.nan, math.nan)]
    known: list[float] = []
    ranges: list[tuple[int, float, float]] = []
    # The favourite and the fittest candidate after each judged generation
    for generation in view.generations:
        verdict = generation.verdict
        known += [fitness[each.key] for each in generation.candidates if each.key in fitness]
        if verdict is None or not verdict.overall or not known:
            continue
        favourite = verdict.overall[0].candidate
        points.append((verdict.judgements, fitness.get(favourite, math.nan), max(known)))
        ends = facts.bounds(view, view.candidates[favourite])
        if ends is not None and max(map(abs, ends)) < _LARGEST:
            ranges.append((verdict.judgements, *ends))
    points = [point for point in points if facts.finite(point[1]) and abs(point[1]) < _LARGEST]
    if not points:
        return None
    # Draw both lines, and the interval of the favourite
    counts, liked, best = zip(*points, strict=True)
    with canvas() as (figure, axes):
        axes.plot(counts, best, color=SOFT, linestyle=(0, (3, 3)), linewidth=1.2)
        axes.plot(counts, liked, "o-", color=WINNER)
        for count, low, high in ranges:
            axes.plot([count, count], [low, high], color=WINNER, linewidth=4, alpha=0.3)
        axes.set_xlim(left=0)
        axes.set_xlabel("judgements given")
        axes.set_ylabel(f"fitness{_bracketed(view)}")
        description = ", ".join(f"{number(y)} after {x:g}" for x, y in zip(counts, liked, strict=True))
        svg = to_svg(figure, "judgements", "Fitness of people's favourite by the number of judgements", description)
    legend = (LegendKey(variable(WINNER), "people's favourite"), LegendKey(variable(SOFT), "the fittest so far", True))
    caption = "Selection score of whom people liked best of all candidates so far; bar: the interval of its ranking."
    return Picture(svg, figure, caption, legend)


def scatter(view: RunView) -> Picture | None:
    """Draw the strength of every candidate by judgements, with its interval, over the fitness."""
    # The latest verdict has the strengths of all candidates so far
    verdicts = [generation.verdict for generation in view.generations if generation.verdict is not None]
    fitness = {key: value for key, value in facts.fitness(view).items() if abs(value) < _LARGEST}
    shown = [each for each in (verdicts[-1].overall if verdicts else ()) if each.candidate in fitness]
    if len(shown) < 2:
        return None
    with canvas() as (figure, axes):
        for each in shown:
            colour = WINNER if each.candidate == view.winner else PALETTE[0]
            x = fitness[each.candidate]
            axes.plot([x, x], [each.low, each.high], color=colour, linewidth=3, alpha=0.3)
            axes.plot([x], [each.value], "o", color=colour, markersize=5)
        axes.axhline(0.0, color=INK, linewidth=0.6)
        axes.set_xlabel(f"fitness{_bracketed(view)}")
        axes.set_ylabel("strength by judgements (log-odds)")
        tau = preference.agreement(shown, fitness)
        description = (
            f"{len(shown)} candidates; Kendall's tau {tau:+.2f}" if facts.finite(tau) else f"{len(shown)} candidates"
        )
        svg = to_svg(figure, "liked", "Strength by judgements over fitness", description)
    return Picture(svg, figure, f"Dot: strength in log-odds; bar: 95 % interval. {description}.")


def _bracketed(view: RunView) -> str:
    """Return the fitness unit in brackets, for the label of an axis."""
    return f" ({facts.unit_of(view).strip()})" if facts.unit_of(view).strip() else ""
