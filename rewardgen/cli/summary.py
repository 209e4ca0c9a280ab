"""Prints the result of a run, or its state, for people and as JSON. All of it comes from the store."""

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
from rewardgen.report.facts import interval, unit_of
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
    """Return what ``run --json`` and ``resume --json`` print of a run; ``show --json`` prints all of it."""
    winner = view.candidates.get(view.winner or "")
    return {
        "run": view.name,
        "path": view.path,
        "status": view.status,
        "message": view.message,
        "task": view.task.get("name"),
        "author": view.author,
        "offline": view.author.startswith("offline"),
        # What was found, and its reported scores
        "winner": None if winner is None else {"key": winner.key, "score": winner.score, "source": winner.source},
        "fitness_unit": view.task.get("fitness_unit"),
        "scores": {
            name: None if (final := view.final(name)) is None or final.evaluation is None else final.evaluation
            for name in FINALS
        },
        "verdict": verdict(view),
        "result": document(result(view)),
        # How the choice was made
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
    """Return what the reported intervals support, in plain words."""
    outcome = result(view)
    if outcome.word == "no reward found":
        return outcome.headline.verdict
    return " ".join([outcome.headline.verdict, *outcome.headline.sentences])


def show_result(view: RunView, report: Path | None, exported: Exported | None) -> None:
    """Print the result of a run: the reward, its score beside the baselines', the files that were written."""
    winner = view.candidates.get(view.winner or "")
    outcome = result(view)
    write()
    # The verdict and the scores that it rests on
    _show_verdict(outcome)
    write()
    if winner is not None:
        _show_scores(view, outcome)
        for sentence in outcome.headline.sentences:
            write(sentence)
        write()
    # The winning program
    if winner is not None and winner.source is not None:
        write(f"The best reward ({winner.key}):", style="bold")
        write()
        code(winner.source.strip())
        write()
    # What a reader must know to judge the result
    if legible := legibility_sentence(view):
        write(legible)
    if view.author.startswith("offline"):
        write(OFFLINE, style="dim")
    write()
    # Where the files are, the cost, and what to do next
    places: list[tuple[str, Path | None]] = [("report", report)]
    if exported is not None:
        places += [("reward", exported.reward), ("env", exported.environment), ("wrapper", exported.wrapper)]
        places += [("policy", exported.policy)]
    for name, path in places:
        if path is not None:
            write(f"{name:<9}{path}")
    write(f"{'cost':<9}{_cost(view)}")
    _show_next(outcome)


def show_run(view: RunView) -> None:
    """Print the state of a run."""
    # Title and verdict
    outcome = result(view)
    write(view.name, style="bold")
    _show_verdict(outcome)
    write(f"{view.task.get('name', '?')}, rewards written by {view.author or '?'}, begun {view.created}")
    for growth in view.grown:
        write(f"{growth.sentence(unit_of(view))}.")
    if view.author.startswith("offline"):
        write(OFFLINE, style="dim")
    # Each generation as a table, followed by the reasons of the choice
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
    # Reported scores
    if view.finals:
        _show_scores(view, outcome)
        for sentence in outcome.headline.sentences:
            write(sentence)
    # The best program so far
    winner = view.candidates.get(view.winner or "")
    if winner is not None and winner.source is not None:
        write()
        write(f"The best reward ({winner.key}):", style="bold")
        write()
        code(winner.source.strip())
    write()
    write(f"cost: {_cost(view)}")
    _show_next(outcome)


def show_candidate(view: RunView, candidate: CandidateView) -> None:
    """Print one candidate: program, problems, and the feedback that its author would get."""
    unit = str(view.task.get("fitness_unit", ""))
    # Score and how sure it is
    write(f"{candidate.key}: {candidate.status}, score {short_number(candidate.score, unit)}", style="bold")
    if candidate.parent:
        write(f"written after seeing {candidate.parent}")
    if ends := interval(view, candidate):
        write(f"score between {ends}, by its seeds and episodes")
    if reason := choice_reason(view, candidate):
        write(reason)
    if candidate.stopped:
        write(f"its training was {candidate.stopped}")
    if candidate.again:
        write(f"measured again on {len(candidate.again)} fresh seeds: {short_number(candidate.again_score, unit)}")
    # What stored episodes predicted
    if (forecast := candidate.forecast) is not None:
        share = "n/a" if forecast.agreement is None else f"{forecast.agreement:.0%}"
        write(f"before training: its return orders {share} of {forecast.pairs} pairs of episodes as their fitness does")
        if forecast.nearest is not None:
            write(
                f"most similar earlier program: {forecast.nearest}, at a distance of {short_number(forecast.distance)}"
            )
    # Attempts that were rejected, the program, the feedback
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
    """Print how much seeds explain, the winner's curse and how screening did, if there is anything to say."""
    sentences = (legibility_sentence(view), curse_sentence(view), *screening_sentences(view))
    shown = [sentence for sentence in sentences if sentence]
    for sentence in shown:
        write(sentence, style="dim")
    if shown:
        write()


def _show_verdict(outcome: RunResult) -> None:
    """Print the verdict and its reason."""
    why = f": {outcome.why}" if outcome.why else ""
    write(f"{outcome.word.capitalize()}{why.rstrip('.')}.", style=f"bold {STYLES[outcome.tone]}")
    if outcome.word not in ("no reward found", "waiting for you", "waiting for answers", "running"):
        write(outcome.headline.verdict)


def _show_scores(view: RunView, outcome: RunResult) -> None:
    """Print a bar for each reported reward, with its interval."""
    # Nothing was measured yet
    if not any(bar.measured for bar in outcome.bars):
        return
    meaning = str(view.task.get("fitness_meaning", ""))
    listing = table("reward", "", "fitness", "interval", "success", "measured on", right=("fitness", "success"))
    for bar in outcome.bars:
        bar_text = text_bar(bar, outcome.success)
        listing.add_row(bar.label, bar_text, bar.value, bar.interval, bar.success, bar.trainings)
    if meaning:
        write(f"Fitness: {meaning}, on fresh training seeds and fresh episodes", style="dim")
    show(listing)
    if outcome.success is not None:
        write(f"= mean, - interval, | success from {outcome.success_text}", style="dim")
    write()


def _show_next(outcome: RunResult) -> None:
    """Print the commands for the next steps."""
    for step in outcome.next:
        write(f"to {step.what}:\n  {step.command}")


def _cost(view: RunView) -> str:
    """Return the cost of a run in one line."""
    cost = view.cost
    about = "about " if cost.estimated else ""
    tokens = cost.prompt_tokens + cost.completion_tokens
    parts = []
    if tokens:  # 0 if no language model was used
        cached = f" ({cost.cached_calls} from the cache)" if cost.cached_calls else ""
        parts += [f"{cost.calls} calls{cached}", f"{about}{tokens:,} tokens", cost.paid]
    parts += [f"{cost.steps:,} environment steps", clock(cost.seconds)]
    return ", ".join(parts)
