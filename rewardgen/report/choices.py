"""The selection in sentences and rows: legibility, races, leaders measured again, and screening."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rewardgen.evaluation import Legibility, legibility
from rewardgen.evaluation.legibility import CONFIDENCE
from rewardgen.report.facts import bounds, finite, unit_of
from rewardgen.store import (
    CandidateView,
    CurseRecord,
    GenerationView,
    RunView,
    curse_records,
    race_record,
    screening_record,
)
from rewardgen.text import count, number, percent, signed


@dataclass(frozen=True)
class LeaderRow:
    """A generation's leader: its score as leader, on fresh seeds, as reported, and how much it fell."""

    key: str
    carried: bool
    score: str
    again: str
    gap: str
    final: str


@dataclass(frozen=True)
class Choices:
    """``races`` has a title and a sentence for each race; ``curse`` sums up the ``leaders``.

    ``legibility``: how much of the differences between scores is due to seeds; "" before anything was trained.
    """

    legibility: str
    races: tuple[tuple[str, str], ...]
    leaders: tuple[LeaderRow, ...]
    curse: str
    screening: tuple[str, ...]


def choices(view: RunView, titles: Mapping[tuple[int, int], str]) -> Choices:
    """Return the sentences on a run's selection; ``titles`` name its generations by restart and index."""
    records = curse_records(view)
    races = (
        (titles.get((generation.restart, generation.index), ""), race_sentence(view, generation))
        for generation in view.generations
    )
    return Choices(
        legibility=legibility_sentence(view),
        races=tuple((title, sentence) for title, sentence in races if sentence),
        leaders=tuple(_row(record, unit_of(view)) for record in records),
        curse=curse_sentence(view),
        screening=tuple(screening_sentences(view)),
    )


def choice_reason(view: RunView, candidate: CandidateView) -> str:
    """Return why a candidate was carried on, or won, over one with a higher score; "" if it was not selected.

    It is compared with the highest score among the candidates that it was selected from: those of its generation or,
    for the winner, of the whole run.
    """
    won = candidate.key == view.winner
    if not (candidate.selected or won):
        return ""
    home = next(each for each in view.generations if candidate in each.candidates)
    what = "the winner" if won else "carried on"
    # Judges decided
    if home.verdict is not None:
        by = "judgements and fitness together put" if _search(view).get("judge") == "mixed" else "the judges put"
        return f"{what} because {by} it first"
    # It had the highest score, or another one did
    pool = [each for generation in (view.generations if won else [home]) for each in generation.candidates]
    higher = [each for each in pool if finite(each.score) and (each.score or 0.0) > (candidate.score or 0.0)]
    if not higher:
        return f"{what} with the highest score of {'the run' if won else 'its generation'}"
    other = max(higher, key=lambda each: each.score or 0.0)
    higher_score = f"whose score is higher ({number(other.score)}{unit_of(view)})"
    return f"{what} over {other.key}, {higher_score}, {_why(view, candidate, other)}"


def _why(view: RunView, chosen: CandidateView, other: CandidateView) -> str:
    """Return what speaks for ``chosen`` against ``other``, whose score is higher; see ``search.rank``."""
    # Stopped candidates rank last, confirmed ones first, and else the lower bound decides
    if other.stopped and not chosen.stopped:
        return "because that one was stopped early"
    if chosen.again and not other.again:
        again = chosen.again_score
        score_text = f" ({number(again)}{unit_of(view)})" if finite(again) else ""
        return f"because this one was confirmed on fresh seeds{score_text} and that one was not"
    if not (finite(chosen.low) and finite(other.low)) or (chosen.low or 0.0) <= (other.low or 0.0):
        return "because it ranked higher when the choice was made"
    own, theirs = bounds(view, chosen), bounds(view, other)
    if own is None or theirs is None or number(own[0]) == number(theirs[0]):
        return "because its score is more certain"
    return f"because the low end of its interval is higher ({number(own[0])} against {number(theirs[0])})"


def legibility_of(view: RunView) -> Legibility:
    """Return how much of the differences between the run's scores is due to seeds, over all generations."""
    training = view.config.get("training")
    keep = training.get("keep") if isinstance(training, Mapping) else None
    seeds, steps = _settings(view)
    trainings = [[[*each.trainings, *each.again] for each in generation.candidates] for generation in view.generations]
    return legibility(trainings, seeds=seeds, steps=steps, keep=keep if keep in ("own", "last") else "best")


def legibility_facts(view: RunView) -> dict[str, Any]:
    """Return ``legibility_of`` as plain values, for ``--json``."""
    result = legibility_of(view)
    low, high = result.interval
    return {
        "seeds_share": result.seeds_share,
        "low": low,
        "high": high,
        "confidence": CONFIDENCE,
        "seeds": result.seeds,
        "needed_seeds": result.needed_seeds,
        "needed_steps": result.needed_steps,
        "estimate": result.estimate,
        "by_steps": [{"steps": steps, "icc": icc} for steps, icc in result.by_steps],
        "sentence": result.sentence,
    }


def legibility_sentence(view: RunView) -> str:
    """Return how much seeds explain, and what to do; "" if no candidate was trained."""
    trained = any(candidate.trainings for candidate in view.candidates.values())
    return legibility_of(view).sentence if trained else ""


def race_sentence(view: RunView, generation: GenerationView) -> str:
    """Return who stopped early and what that saved; "" if nobody did."""
    record = race_record(generation, *_settings(view))
    if record is None:
        return ""
    text = f"{record.stopped} of {record.trained} candidates stopped early: {record.steps:,} steps"
    if record.full:
        text += f" instead of {record.full:,} ({percent(record.steps / record.full)})"
    if record.further:
        text += f"; {record.further} further {'training' if record.further == 1 else 'trainings'} of the finalists"
    return text


def curse_sentence(view: RunView) -> str:
    """Return how much leaders lose on fresh seeds on average: the winner's curse."""
    # Positive gaps are luck that was selected
    gaps = [record.score - record.again for record in curse_records(view) if finite(record.again)]
    if not gaps:
        return ""
    mean = math.fsum(gaps) / len(gaps)
    leaders = "The leader" if len(gaps) == 1 else f"The {len(gaps)} leaders"
    verb = "lost" if mean >= 0 else "gained"
    average = "" if len(gaps) == 1 else " on average"
    return f"{leaders} {verb} {number(abs(mean))}{unit_of(view)}{average} between selection and fresh seeds."


def screening_sentences(view: RunView) -> list[str]:
    """Return how often stored episodes predicted what training showed."""
    record = screening_record(view)
    if record is None:
        return []
    sentences = [f"{_were(record.forecasts, 'program')} tried on stored episodes before training."]
    # Order
    if record.told_apart:
        share = percent(record.right / record.told_apart)
        sentences.append(
            f"Of {record.told_apart} pairs of candidates that training told apart, their order by agreement with "
            f"stored episodes was right for {record.right} ({share}; chance is 50 %)."
        )
    else:
        sentences.append("Training told no two of them apart whose forecasts differed, so the order cannot be judged.")
    # Copies, and candidates that were not trained
    if record.copies:
        sentences.append(f"{_were(record.copies, 'program')} sent back as a copy of one tried before.")
    if record.audited:
        sentences.append(
            f"{_were(record.audited, 'copy', 'copies')} trained anyway as a check: {record.alike} not told "
            "apart by training from what was copied."
        )
    if record.left_out:
        sentences.append(f"{_were(record.left_out, 'candidate')} not trained because others agreed better.")
    return sentences


def _settings(view: RunView) -> tuple[int, int]:
    """Return the selection seeds and steps per training; 1 and 0 if the settings are unknown."""
    training = view.config.get("training")
    seeds = _search(view).get("seeds")
    steps = training.get("steps") if isinstance(training, Mapping) else None
    return (seeds if isinstance(seeds, int) else 1), (steps if isinstance(steps, int) else 0)


def _search(view: RunView) -> Mapping[str, Any]:
    """Return the settings of the search; empty if they are unknown."""
    search = view.config.get("search")
    return search if isinstance(search, Mapping) else {}


def _row(record: CurseRecord, unit: str) -> LeaderRow:
    """Return a leader's row."""
    return LeaderRow(
        key=record.candidate,
        carried=record.selected,
        score=f"{number(record.score)}{unit}",
        again=f"{number(record.again)}{unit}" if finite(record.again) else "failed",
        gap=f"{signed(record.again - record.score)}{unit}" if finite(record.again) else "",
        final=f"{number(record.final)}{unit}" if finite(record.final) else "",
    )


def _were(amount: int, thing: str, things: str = "") -> str:
    """Return "1 copy was" or "2 copies were"."""
    return f"{count(amount, thing, things)} {'was' if amount == 1 else 'were'}"
