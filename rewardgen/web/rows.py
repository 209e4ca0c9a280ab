"""A run's candidates and generations as the rows of a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from rewardgen.report import code, facts
from rewardgen.report.choices import choice_reason, race_sentence
from rewardgen.report.code import Diff
from rewardgen.store import CandidateView, GenerationView, RunView
from rewardgen.text import number, percent


@dataclass(frozen=True)
class CandidateRow:
    """``share`` is its score's place between the run's lowest (or 0) and highest, in [0, 1]; None without one."""

    view: CandidateView
    score: str
    interval: str
    success: str
    share: float | None
    changes: Diff | None
    reason: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class GenerationRows:
    """``name`` stands in addresses ("r0g1"); ``progress`` says how far it is, "" once it is finished."""

    view: GenerationView
    name: str
    title: str
    rows: tuple[CandidateRow, ...]
    race: str
    progress: str


def generation_name(generation: GenerationView) -> str:
    return f"r{generation.restart}g{generation.index}"


def generation_rows(view: RunView) -> tuple[GenerationRows, ...]:
    """All generations, in the order in which they were made."""
    scores = facts.fitness(view).values()
    low, high = (min(0.0, *scores, 0.0), max(scores)) if scores else (0.0, 0.0)
    return tuple(
        GenerationRows(
            view=generation,
            name=generation_name(generation),
            title=facts.generation_title(view, generation),
            rows=tuple(_row(view, candidate, low, high) for candidate in generation.candidates),
            race=race_sentence(view, generation),
            progress="" if generation.finished else _progress(generation),
        )
        for generation in view.generations
    )


def changes(view: RunView, candidate: CandidateView) -> Diff | None:
    """What it changed of its parent's program; None where one of the two has none."""
    parent = view.candidates.get(candidate.parent or "")
    if parent is None or parent.source is None or candidate.source is None:
        return None
    return code.diff(parent.source, candidate.source)


def score_text(candidate: CandidateView, unit: str) -> str:
    if candidate.score is None:
        return "none"
    return number(candidate.score) + (unit if facts.finite(candidate.score) else "")


def _row(view: RunView, candidate: CandidateView, low: float, high: float) -> CandidateRow:
    score = candidate.score
    share = None
    if score is not None and facts.finite(score) and high > low:
        share = round((score - low) / (high - low), 3)
    troubled = candidate.status in ("rejected", "failed") or (candidate.forecast and candidate.forecast.left_out)
    return CandidateRow(
        view=candidate,
        score=score_text(candidate, facts.unit_of(view)),
        interval=facts.interval(view, candidate),
        success=percent(facts.success(candidate.trainings)) if candidate.trainings else "",
        share=share,
        changes=changes(view, candidate),
        reason=choice_reason(view, candidate),
        problems=tuple(str(problem) for problem in candidate.problems[:3]) if troubled else (),
    )


def _progress(generation: GenerationView) -> str:
    """ "3 trained, 2 accepted, 3 being written"."""
    counts: Counter[str] = Counter(candidate.status for candidate in generation.candidates)
    named = {"trained": "trained", "failed": "failed", "rejected": "rejected", "accepted": "to be trained",
             "writing": "being written"}  # fmt: skip
    return ", ".join(f"{counts[status]} {words}" for status, words in named.items() if counts[status])
