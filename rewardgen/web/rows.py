"""Candidates and generations of a run as table rows."""

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
    """A candidate. ``share``: its score scaled to [0, 1] from the run's lowest (or 0) to its highest; None without."""

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
    """A generation. ``name`` is used in URLs ("r0g1"); ``progress`` counts candidates by state, "" once finished."""

    view: GenerationView
    name: str
    title: str
    rows: tuple[CandidateRow, ...]
    race: str
    progress: str


def generation_name(generation: GenerationView) -> str:
    """Return a generation's name in URLs."""
    return f"r{generation.restart}g{generation.index}"


def generation_rows(view: RunView) -> tuple[GenerationRows, ...]:
    """Return all generations as rows, in order."""
    # All rows share one scale
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
    """Return the diff to the parent's program; None if one of the two has no program."""
    parent = view.candidates.get(candidate.parent or "")
    if parent is None or parent.source is None or candidate.source is None:
        return None
    return code.diff(parent.source, candidate.source)


def score_text(candidate: CandidateView, unit: str) -> str:
    """Format a candidate's selection score."""
    if candidate.score is None:
        return "none"
    return number(candidate.score) + (unit if facts.finite(candidate.score) else "")


def _row(view: RunView, candidate: CandidateView, low: float, high: float) -> CandidateRow:
    score = candidate.score
    # Scale the score
    share = None
    if score is not None and facts.finite(score) and high > low:
        share = round((score - low) / (high - low), 3)
    # Show problems only where they ended the candidate
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
    """Count a generation's candidates by state: "3 trained, 2 to be trained"."""
    counts: Counter[str] = Counter(candidate.status for candidate in generation.candidates)
    named = {"trained": "trained", "failed": "failed", "rejected": "rejected", "accepted": "to be trained",
             "writing": "being written"}  # fmt: skip
    return ", ".join(f"{counts[status]} {words}" for status, words in named.items() if counts[status])
