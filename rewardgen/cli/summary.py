"""How a run ended, or where it stands: for people and as JSON. Everything comes from the store."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from rewardgen.cli.lines import OFFLINE
from rewardgen.cli.output import code, safe, show, table, write
from rewardgen.report.choices import (
    choice_reason,
    curse_sentence,
    legibility_facts,
    legibility_sentence,
    race_sentence,
    screening_sentences,
)
from rewardgen.report.facts import interval
from rewardgen.report.result import RunResult, document, result, text_bar
from rewardgen.store import curse_records, screening_record
from rewardgen.store.reader import FINALS
from rewardgen.text import clock, short_number

if TYPE_CHECKING:
    from rewardgen.export import Exported
    from rewardgen.store import CandidateView, RunView

STYLES = {"good": "green", "unsure": "yellow", "bad": "red", "busy": "cyan"}
"""Terminal colours of a verdict's tone."""


def summary(view: RunView) -> dict[str, Any]:
    """What ``run --json`` and ``resume --json`` say of a run; ``show --json`` gives the whole of it."""
    winner = view.candidates.get(view.winner or "")
    return {
        "run": view.name,
        "path": view.path,
        "status": view.status,
        "message": view.message,
        "task": view.task.get("name"),
        "author": view.author,
        "offline": view.author.startswith("offline"),
        "winner": None if winner is None else {"key": winner.key, "score": winner.score, "source": winner.source},
        "fitness_unit": view.task.get("fitness_unit"),
        "scores": {
            name: None if (found := view.final(name)) is None or found.evaluation is None else found.evaluation
            for name in FINALS
        },
        "verdict": verdict(view),
        "result": document(result(view)),
        "legibility": legibility_facts(view),
        "screening": screening_record(view),
        "leaders": curse_records(view),
        "generations": [
            {
                "restart": generation.restart,
                "index": generation.index,
                "candidates": [
                    {
                        "key": c.key,
                        "status": c.status,
                        "score": c.score,
                        "low": c.low,
                        "high": c.high,
                        "stopped": c.stopped or None,
                        "again": c.again_score,
                        "selected": c.selected,
                        "parent": c.parent,
                    }
                    for c in generation.candidates
                ],
            }
            for generation in view.generations
        ],
        "cost": view.cost,
    }


def verdict(view: RunView) -> str:
    """What the reported intervals support, in plain words."""
    found = result(view)
    if found.word == "no reward found":
        return found.headline.verdict
    return " ".join([found.headline.verdict, *found.headline.sentences])


def show_ending(view: RunView, report: Path | None, exported: Exported | None) -> None:
    """The end of a run: the reward, its score beside the others', where everything lies."""
    winner = view.candidates.get(view.winner or "")
    found = result(view)
    write()
    _show_verdict(found)
    write()
    if winner is not None:
        _show_scores(view, found)
        for sentence in found.headline.sentences:
            write(sentence)
        write()
    if winner is not None and winner.source is not None:
        write(f"The best reward ({winner.key}):", style="bold")
        write()
        code(winner.source.strip())
        write()
    if legible := legibility_sentence(view):
        write(legible)
    if view.author.startswith("offline"):
        write(OFFLINE, style="dim")
    write()
    places: list[tuple[str, Path | None]] = [("report", report)]
    if exported is not None:
        places += [("reward", exported.reward), ("wrapper", exported.wrapper), ("policy", exported.policy)]
    for name, path in places:
        if path is not None:
            write(f"{name:<9}{path}")
    write(f"{'cost':<9}{_cost(view)}")
    _show_next(found)


def show_run(view: RunView) -> None:
    """Where a run stands."""
    found = result(view)
    write(view.name, style="bold")
    _show_verdict(found)
    write(f"{view.task.get('name', '?')}, rewards written by {view.author or '?'}, begun {view.created}")
    if view.author.startswith("offline"):
        write(OFFLINE, style="dim")
    for generation in view.generations:
        write()
        place = f"generation {generation.index}" + (f", restart {generation.restart}" if generation.restart else "")
        write(place + ("" if generation.finished else " (under way)"), style="bold")
        listing = table(
            "candidate", "status", "score", "interval", "again", "parent", "", right=("score", "interval", "again")
        )
        reasons = []
        for each in generation.candidates:
            problem = "" if each.status == "trained" else "; ".join(str(problem) for problem in each.problems)
            reason = choice_reason(view, each)
            if reason:
                reasons.append(f"{each.key}: {reason}")
            listing.add_row(
                each.key,
                "stopped" if each.stopped else each.status,
                short_number(each.score),
                interval(view, each),
                short_number(each.again_score) if each.again else "",
                each.parent or "",
                "◀ selected" if each.selected else safe(shorten(problem or each.stopped, 80, placeholder=" …")),
            )
        show(listing)
        for reason in reasons:
            write(reason)
        if race := race_sentence(view, generation):
            write(f"race: {race}", style="dim")
    write()
    _show_choices(view)
    if view.finals:
        _show_scores(view, found)
        for sentence in found.headline.sentences:
            write(sentence)
    winner = view.candidates.get(view.winner or "")
    if winner is not None and winner.source is not None:
        write()
        write(f"The best reward ({winner.key}):", style="bold")
        write()
        code(winner.source.strip())
    write()
    write(f"cost: {_cost(view)}")
    _show_next(found)


def show_candidate(view: RunView, candidate: CandidateView) -> None:
    """One candidate: code, problems, and what its author would be told of it."""
    unit = str(view.task.get("fitness_unit", ""))
    write(f"{candidate.key}: {candidate.status}, score {short_number(candidate.score, unit)}", style="bold")
    if candidate.parent:
        write(f"written after seeing {candidate.parent}")
    if ends := interval(view, candidate):
        write(f"score between {ends} by its seeds and episodes")
    if reason := choice_reason(view, candidate):
        write(reason)
    if candidate.stopped:
        write(f"its training was {candidate.stopped}")
    if candidate.again:
        write(f"measured again on {len(candidate.again)} fresh seeds: {short_number(candidate.again_score, unit)}")
    if (forecast := candidate.forecast) is not None:
        share = "n/a" if forecast.agreement is None else f"{forecast.agreement:.0%}"
        write(f"before training: its return orders {share} of {forecast.pairs} pairs of episodes as their fitness does")
        if forecast.nearest is not None:
            write(f"most like it was {forecast.nearest}, at a distance of {short_number(forecast.distance)}")
    for attempt in candidate.attempts:
        for problem in attempt.problems:
            write(f"attempt {attempt.number}: {problem.stage}: {problem}", style="yellow")
    if candidate.source is not None:
        write()
        code(candidate.source.strip())
    if candidate.reflection:
        write()
        write(candidate.reflection)


def _show_choices(view: RunView) -> None:
    """What seeds explain, the winner's curse and how screening fared, where there is anything to say."""
    sentences = (legibility_sentence(view), curse_sentence(view), *screening_sentences(view))
    told = [sentence for sentence in sentences if sentence]
    for sentence in told:
        write(sentence, style="dim")
    if told:
        write()


def _show_verdict(found: RunResult) -> None:
    """The verdict's word, and what it rests on."""
    why = f": {found.why}" if found.why else ""
    write(f"{found.word.capitalize()}{why.rstrip('.')}.", style=f"bold {STYLES[found.tone]}")
    if found.word not in ("no reward found", "waiting for you", "running"):
        write(found.headline.verdict)


def _show_scores(view: RunView, found: RunResult) -> None:
    """A bar for each reported reward, with its interval."""
    if not any(bar.measured for bar in found.bars):
        return
    meaning = str(view.task.get("fitness_meaning", ""))
    listing = table("reward", "", "fitness", "interval", "success", "measured on", right=("fitness", "success"))
    for bar in found.bars:
        drawn = text_bar(bar, found.success)
        listing.add_row(bar.label, drawn, bar.value, bar.interval, bar.success, bar.trainings)
    if meaning:
        write(f"Fitness: {meaning}, on fresh training seeds and fresh episodes", style="dim")
    show(listing)
    if found.success is not None:
        write(f"= mean, - interval, | success from {found.success_text}", style="dim")
    write()


def _show_next(found: RunResult) -> None:
    """The commands to go on with."""
    for step in found.next:
        write(f"to {step.what}:\n  {step.command}")


def _cost(view: RunView) -> str:
    cost = view.cost
    about = "about " if cost.estimated else ""
    tokens = cost.prompt_tokens + cost.completion_tokens
    parts = []
    if tokens:  # none where no language model is asked
        cached = f" ({cost.cached_calls} from the cache)" if cost.cached_calls else ""
        parts += [f"{cost.calls} calls{cached}", f"{about}{tokens:,} tokens", cost.paid]
    parts += [f"{cost.steps:,} environment steps", clock(cost.seconds)]
    return ", ".join(parts)
