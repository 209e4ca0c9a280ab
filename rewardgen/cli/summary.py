"""How a run ended, or where it stands: for people and as JSON. Everything comes from the store."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from rewardgen.cli.lines import OFFLINE
from rewardgen.cli.output import code, safe, show, table, write
from rewardgen.report.choices import (
    curse_sentence,
    legibility_facts,
    legibility_sentence,
    race_sentence,
    screening_sentences,
)
from rewardgen.store import curse_records, screening_record
from rewardgen.store.reader import FINALS
from rewardgen.text import clock, short_number

if TYPE_CHECKING:
    from rewardgen.export import Exported
    from rewardgen.records import Evaluation
    from rewardgen.store import CandidateView, RunView


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


def evaluation_of(view: RunView, name: str) -> Evaluation | None:
    """The reported score of a reward, None where there is none or it is not a number."""
    final = view.final(name)
    found = final.evaluation if final is not None else None
    return found if found is not None and found.mean == found.mean else None


def verdict(view: RunView) -> str:
    """What the reported intervals support, in plain words."""
    unit = str(view.task.get("fitness_unit", ""))
    winner = evaluation_of(view, "winner")
    if view.winner is None:
        return no_reward(view)
    if winner is None:
        return "The best reward has no reported score."
    if winner.seeds < 2:
        return "One training seed shows nothing: trainings of the same reward differ. Ask for more: --report-seeds 5."
    sentences = []
    for name, called in (("expert", "the expert's reward"), ("sparse", "the sparse reward")):
        other = evaluation_of(view, name)
        if other is None:
            sentences.append(f"There is no score of {called} to compare with.")
        elif winner.low > other.high:
            sentences.append(f"The found reward is better than {called}: the intervals do not overlap.")
        elif winner.high < other.low:
            sentences.append(f"The found reward is worse than {called}: the intervals do not overlap.")
        else:
            difference = short_number(winner.mean - other.mean, unit)
            sentences.append(
                f"Whether the found reward is better than {called} is not shown: the difference is {difference}, "
                f"but the intervals overlap."
            )
    if winner.seeds < 3:
        sentences.append(f"With {winner.seeds} training seeds the intervals say little.")
    return " ".join(sentences)


def no_reward(view: RunView) -> str:
    """That a run found no reward, and the problem that most of its candidates ended with."""
    candidates = list(view.candidates.values())
    ends = Counter(str(candidate.problems[-1]) for candidate in candidates if candidate.problems)
    often = ends.most_common(1)
    why = f"; {often[0][1]} ended with: {shorten(often[0][0], 200, placeholder=' ...').rstrip('.')}" if often else ""
    return (
        f"No reward found: none of {len(candidates)} candidates could be trained{why}. "
        f"`rewardgen show {view.path}` lists them all."
    )


def show_ending(view: RunView, report: Path | None, exported: Exported | None) -> None:
    """The end of a run: the reward, its score beside the others', where everything lies."""
    winner = view.candidates.get(view.winner or "")
    write()
    if winner is None:
        write(no_reward(view), style="bold")
        write()
    elif winner.source is not None:
        write(f"The best reward ({winner.key}):", style="bold")
        write()
        code(winner.source.strip())
        write()
    if winner is not None:
        _show_scores(view)
        write(verdict(view))
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


def show_run(view: RunView) -> None:
    """Where a run stands."""
    write(f"{view.name}: {view.status}" + (f", {view.message}" if view.message else ""), style="bold")
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
        for each in generation.candidates:
            problem = "" if each.status == "trained" else "; ".join(str(problem) for problem in each.problems)
            listing.add_row(
                each.key,
                "stopped" if each.stopped else each.status,
                short_number(each.score),
                _interval(each),
                short_number(each.again_score) if each.again else "",
                each.parent or "",
                "◀ selected" if each.selected else safe(" ".join((problem[:80] or each.stopped).split())),
            )
        show(listing)
        if race := race_sentence(view, generation):
            write(f"race: {race}", style="dim")
    write()
    _show_choices(view)
    if view.finals:
        _show_scores(view)
        write(verdict(view))
    elif view.status == "finished" and view.winner is None:
        write(no_reward(view))
    winner = view.candidates.get(view.winner or "")
    if winner is not None and winner.source is not None:
        write()
        write(f"The best reward ({winner.key}):", style="bold")
        write()
        code(winner.source.strip())
    write()
    write(f"cost: {_cost(view)}")
    if view.status in ("interrupted", "failed"):
        write(f"to go on: rewardgen resume {view.path}")


def show_candidate(view: RunView, candidate: CandidateView) -> None:
    """One candidate: code, problems, and what its author would be told of it."""
    unit = str(view.task.get("fitness_unit", ""))
    write(f"{candidate.key}: {candidate.status}, score {short_number(candidate.score, unit)}", style="bold")
    if candidate.parent:
        write(f"written after seeing {candidate.parent}")
    if _interval(candidate):
        write(f"score between {_interval(candidate)} by its seeds and episodes")
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


def _interval(candidate: CandidateView) -> str:
    """The bounds that it is ranked by; nothing where nothing varies."""
    if candidate.low is None or candidate.low != candidate.low or candidate.low == candidate.high:
        return ""
    return f"{short_number(candidate.low)} to {short_number(candidate.high)}"


def _show_choices(view: RunView) -> None:
    """What seeds explain, the winner's curse and how screening fared, where there is anything to say."""
    sentences = (legibility_sentence(view), curse_sentence(view), *screening_sentences(view))
    told = [sentence for sentence in sentences if sentence]
    for sentence in told:
        write(sentence, style="dim")
    if told:
        write()


def _show_scores(view: RunView) -> None:
    unit = str(view.task.get("fitness_unit", ""))
    meaning = str(view.task.get("fitness_meaning", ""))
    listing = table("reward", f"fitness ({unit})", "interval", "success", "seeds", right=("success", "seeds"))
    for name in FINALS:
        final = view.final(name)
        found = final.evaluation if final is not None else None
        if found is None:
            continue
        interval = f"[{short_number(found.low)}, {short_number(found.high)}] {found.confidence:.0%}"
        listing.add_row(
            {"winner": "found"}.get(name, name),
            short_number(found.mean) if found.mean == found.mean else "failed",
            interval,
            "–" if found.success_rate != found.success_rate else f"{found.success_rate:.0%}",
            str(found.seeds),
        )
    if listing.row_count:
        write(f"Fitness: {meaning}, on fresh training seeds and fresh episodes", style="dim")
        show(listing)
        write()


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
