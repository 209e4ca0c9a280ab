"""Collects the variables of a run's page and writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from rewardgen.records import Message, Problem, Reply
from rewardgen.report import code, facts, figures
from rewardgen.report.choices import choice_reason, choices
from rewardgen.report.code import Diff
from rewardgen.report.downloads import embedded_files
from rewardgen.report.files import write_whole
from rewardgen.report.people import people
from rewardgen.report.replays import film as replay_film
from rewardgen.report.replays import replays
from rewardgen.report.result import result
from rewardgen.report.svg import Picture
from rewardgen.store.view import CallView, CandidateView, GenerationView, RunView
from rewardgen.text import number, percent

TEMPLATES = Path(__file__).parent / "templates"

COMPONENT_FIGURES = 80
"""Max. number of candidates whose component curves are drawn: those with the highest scores."""
TEXT_LIMIT = 60_000
"""Max. length of a message or reply on the page, in characters."""
EVENTS = 400
"""Max. number of events on the page: the latest."""


@dataclass(frozen=True)
class CandidateCard:
    """A candidate on the page. ``anchor`` is its place in the page; ``bar`` is its score in [0, 100]."""

    view: CandidateView
    anchor: str
    parent_anchor: str | None
    score: str
    bar: float | None
    success: str
    code: Markup | None
    diff: Diff | None
    components: Picture | None
    failures: tuple[str, ...]
    interval: str
    stopped: str
    forecast: str
    reason: str


@dataclass(frozen=True)
class GenerationCard:
    """A generation on the page."""

    view: GenerationView
    title: str
    cards: tuple[CandidateCard, ...]


@dataclass(frozen=True)
class CallCard:
    """A request on the page. The first ``repeated`` messages are those of the call ``as_in``, and are not repeated."""

    view: CallView
    anchor: str
    messages: tuple[Message, ...]
    repeated: int
    as_in: str
    replies: tuple[Reply, ...]


def write_report(view: RunView, out: Path, *, draw: bool = False, film: bool = False) -> Path:
    """Write the report of a run.

    Args:
        view: the run as it is stored, finished or not.
        out: the HTML file to write; its folder is made. An older file is replaced atomically.
        draw: render the pictures of replays that are missing; otherwise the page shows those that exist.
        film: render the winner's film if it is missing.

    Returns:
        ``out``.

    Raises:
        DiskFull: no space left to write.
        StoreError: the file cannot be written.
    """
    return write_whole(render(view, draw=draw, film=film), out)


def environment(*folders: Path) -> jinja2.Environment:
    """Return the environment of the templates: those in ``folders`` and the report's own, whose parts they may use."""
    environment_ = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment_.filters.update(number=number, percent=percent, cut=lambda text: code.cut(text, TEXT_LIMIT))
    return environment_


def styles() -> Markup:
    """Return the style sheet of all pages."""
    return Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))


def render(view: RunView, *, draw: bool = False, film: bool = False) -> str:
    """Return the whole page as text; ``draw`` and ``film`` as in ``write_report``."""
    # Cards of candidates, and what other parts of the page link to
    generations = _generations(view)
    shown = replays(view, draw=draw)  # before the film, which may use one of their pictures
    cards = {card.view.key: card for generation in generations for card in generation.cards}
    winner = cards.get(view.winner or "")
    titles = {(card.view.restart, card.view.index): card.title for card in generations}
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            view=view,
            created=_readable(view.created),
            unit=facts.unit_of(view),
            result=result(view),
            film=replay_film(view, make=film),
            downloads=embedded_files(view),
            offline=view.author.partition(" ")[0] == "offline",
            winner=winner,
            final_curves=figures.final_curves(view),
            candidate_curves=figures.candidate_curves(view),
            lineage=figures.lineage(view),
            ancestry=[cards[member.key] for member in facts.ancestry(view, view.winner)],
            generations=generations,
            choices=choices(view, titles),
            people=people(view, titles),
            replays=shown,
            calls=_calls(view),
            cost=facts.cost_rows(view),
            settings=facts.settings(_without_logins(view.config)),
            threshold=facts.threshold(view),
            warnings=[str(e.data["message"]) for e in view.events if e.kind == "warning" and e.data.get("message")],
            events=view.events[-EVENTS:],
            events_left_out=max(0, len(view.events) - EVENTS),
            statement=_statement,
            styles=styles(),
            code_styles=code.styles(),
        )
    )


def _generations(view: RunView) -> list[GenerationCard]:
    """Return the cards of all generations."""
    # Scores bound the bars, and choose whose components are drawn
    fitness = facts.fitness(view)
    drawn = set(sorted(fitness, key=lambda key: (key != view.winner, -fitness[key]))[:COMPONENT_FIGURES])
    values = list(fitness.values())
    low, high = (min(0.0, *values), max(values)) if len(values) > 1 else (0.0, values[0] if values else 0.0)
    anchors = {key: f"candidate-{index}" for index, key in enumerate(view.candidates)}

    def card(candidate: CandidateView) -> CandidateCard:
        """Return the card of a candidate."""
        parent = view.candidates.get(candidate.parent or "")
        anchor = anchors[candidate.key]
        bar = None
        if candidate.key in fitness and high > low:
            bar = round(100 * (fitness[candidate.key] - low) / (high - low), 1)
        # Compare with the parent's program
        compare = parent is not None and parent.source is not None and candidate.source is not None
        return CandidateCard(
            view=candidate,
            anchor=anchor,
            parent_anchor=anchors.get(candidate.parent or ""),
            score=number(candidate.score) if candidate.score is not None else "none",
            bar=bar,
            success=percent(facts.success(candidate.trainings)) if candidate.trainings else "",
            code=code.highlighted(candidate.source) if candidate.source is not None else None,
            diff=code.diff(parent.source or "", candidate.source or "") if compare and parent else None,
            components=figures.components(candidate, anchor) if candidate.key in drawn else None,
            failures=tuple(_shown(problem) for problem in candidate.problems[:6])
            if candidate.status in ("rejected", "failed")
            else (),
            interval=facts.interval(view, candidate),
            stopped=candidate.stopped,
            forecast=_forecast(candidate),
            reason=choice_reason(view, candidate),
        )

    return [
        GenerationCard(
            generation,
            facts.generation_title(view, generation),
            tuple(card(candidate) for candidate in generation.candidates),
        )
        for generation in view.generations
    ]


def _calls(view: RunView) -> list[CallCard]:
    """Return the cards of all calls; messages that an earlier call began with are not repeated."""
    cards: list[CallCard] = []
    for index, call in enumerate(view.calls):
        repeated, as_in = 0, ""
        # Find the earlier call that shares the most first messages
        for earlier in cards:
            same = 0
            for message, earlier_message in zip(call.messages, earlier.view.messages, strict=False):
                if message != earlier_message:
                    break
                same += 1
            if same > repeated:
                repeated, as_in = same, earlier.anchor
        cards.append(CallCard(call, f"call-{index + 1}", call.messages[repeated:], repeated, as_in, call.replies))
    return cards


def _forecast(candidate: CandidateView) -> str:
    """Return what stored episodes predicted before training."""
    forecast = candidate.forecast
    # How well it orders episodes, what it resembles, and what followed
    if forecast is None:
        return ""
    text = f"Its return orders {percent(forecast.agreement)} of {forecast.pairs} pairs of stored episodes as their"
    text += " fitness does." if forecast.agreement is not None else " fitness does: too few pairs to tell."
    if forecast.nearest is not None and forecast.distance is not None:
        text += f" Of what was tried before, {forecast.nearest} is most like it (distance {number(forecast.distance)})."
    if forecast.audit:
        text += " That makes it a copy; it was trained anyway, to check whether rejecting copies is right."
    return text + (" It was left out of the training." if forecast.left_out else "")


def _shown(problem: Problem) -> str:
    """Return a problem as text, shortened."""
    text = f"{problem.stage}: {problem}"
    return text if len(text) <= 600 else text[:600] + "…"


def _statement(data: Mapping[str, Any]) -> str:
    """Return an event's data on one line."""
    return ", ".join(f"{key} {value}" for key, value in data.items())[:600]


def _readable(time: str) -> str:
    """Return a time for people; as it is if it is not ISO 8601."""
    try:
        return datetime.fromisoformat(time).strftime("%d %B %Y, %H:%M %Z").strip()
    except ValueError:
        return time


def _without_logins(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without the user names and passwords that URLs may contain."""
    cleaned: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            cleaned[key] = _without_logins(value)
        else:
            cleaned[key] = re.sub(r"(?<=://)[^/@\s]*@", "…@", value) if isinstance(value, str) else value
    return cleaned
