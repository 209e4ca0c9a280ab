"""How the choice was made, in sentences and rows: what seeds explain, races, leaders measured again, and screening."""

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
    """A generation's leader: its score when it led, on fresh seeds, as reported, and by how much it fell."""

    key: str
    carried: bool
    score: str
    again: str
    gap: str
    final: str


@dataclass(frozen=True)
class Choices:
    """``races`` has a title and a sentence for each that was run; ``curse`` sums up the ``leaders``.

    ``legibility`` says how much of the differences between scores is due to seeds, "" before anything was trained.
    """

    legibility: str
    races: tuple[tuple[str, str], ...]
    leaders: tuple[LeaderRow, ...]
    curse: str
    screening: tuple[str, ...]


def choices(view: RunView, titles: Mapping[tuple[int, int], str]) -> Choices:
    """What there is to say of a run; ``titles`` name its generations by restart and index."""
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
    """Why a candidate was carried on or won rather than another with a higher score; "" for one that was not chosen.

    It is compared with the highest score among those that it was chosen from: its generation's, or for the winner the
    whole run's.
    """
    won = candidate.key == view.winner
    if not (candidate.selected or won):
        return ""
    home = next(each for each in view.generations if candidate in each.candidates)
    what = "the winner" if won else "carried on"
    if home.verdict is not None:
        by = "judgements and fitness together put" if _search(view).get("judge") == "mixed" else "the judges put"
        return f"{what} because {by} it first"
    pool = [each for generation in (view.generations if won else [home]) for each in generation.candidates]
    higher = [each for each in pool if finite(each.score) and (each.score or 0.0) > (candidate.score or 0.0)]
    if not higher:
        return f"{what} with the highest score of {'the run' if won else 'its generation'}"
    other = max(higher, key=lambda each: each.score or 0.0)
    higher_score = f"whose score is higher ({number(other.score)}{unit_of(view)})"
    return f"{what} over {other.key}, {higher_score}, {_why(view, candidate, other)}"


def _why(view: RunView, chosen: CandidateView, other: CandidateView) -> str:
    """What speaks for ``chosen`` against ``other``, whose score is higher; see ``search.selection``."""
    if other.stopped and not chosen.stopped:
        return "because that one was stopped early"
    if chosen.again and not other.again:
        again = chosen.again_score
        kept = f" ({number(again)}{unit_of(view)})" if finite(again) else ""
        return f"because this one was confirmed on fresh seeds{kept} and that one was not"
    if not (finite(chosen.low) and finite(other.low)) or (chosen.low or 0.0) <= (other.low or 0.0):
        return "because it ranked higher when the choice was made"
    mine, theirs = bounds(view, chosen), bounds(view, other)
    if mine is None or theirs is None or number(mine[0]) == number(theirs[0]):
        return "because its score is more certain"
    return f"because the low end of its interval is higher ({number(mine[0])} against {number(theirs[0])})"


def legibility_of(view: RunView) -> Legibility:
    """How much of the differences between the run's scores is due to seeds, over all its generations."""
    training = view.config.get("training")
    keep = training.get("keep") if isinstance(training, Mapping) else None
    seeds, steps = _settings(view)
    trainings = [[[*each.trainings, *each.again] for each in generation.candidates] for generation in view.generations]
    return legibility(trainings, seeds=seeds, steps=steps, keep=keep if keep in ("own", "last") else "best")


def legibility_facts(view: RunView) -> dict[str, Any]:
    """``legibility_of`` as plain values, for ``--json``."""
    found = legibility_of(view)
    low, high = found.interval
    return {
        "seeds_share": found.seeds_share,
        "low": low,
        "high": high,
        "confidence": CONFIDENCE,
        "seeds": found.seeds,
        "needed_seeds": found.needed_seeds,
        "needed_steps": found.needed_steps,
        "estimate": found.estimate,
        "by_steps": [{"steps": steps, "icc": icc} for steps, icc in found.by_steps],
        "sentence": found.sentence,
    }


def legibility_sentence(view: RunView) -> str:
    """What seeds explain, and what to do; "" where no candidate was trained."""
    trained = any(candidate.trainings for candidate in view.candidates.values())
    return legibility_of(view).sentence if trained else ""


def race_sentence(view: RunView, generation: GenerationView) -> str:
    """Who stopped early and what that saved; "" where nobody did."""
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
    """How much leaders lose on fresh seeds, on average: the winner's curse."""
    gaps = [record.score - record.again for record in curse_records(view) if finite(record.again)]
    if not gaps:
        return ""
    mean = math.fsum(gaps) / len(gaps)
    leaders = "The leader" if len(gaps) == 1 else f"The {len(gaps)} leaders"
    verb = "lost" if mean >= 0 else "gained"
    average = "" if len(gaps) == 1 else " on average"
    return f"{leaders} {verb} {number(abs(mean))}{unit_of(view)}{average} between selection and fresh seeds."


def screening_sentences(view: RunView) -> list[str]:
    """How often stored episodes were right about what training showed."""
    record = screening_record(view)
    if record is None:
        return []
    told = [f"{_were(record.forecasts, 'program')} tried on stored episodes before training."]
    if record.told_apart:
        share = percent(record.right / record.told_apart)
        told.append(
            f"Of {record.told_apart} pairs of candidates that training told apart, their order by agreement with "
            f"stored episodes was right for {record.right} ({share}; chance is 50 %)."
        )
    else:
        told.append("Training told no two of them apart whose forecasts differed, so the order cannot be judged.")
    if record.copies:
        told.append(f"{_were(record.copies, 'program')} sent back as a copy of one tried before.")
    if record.audited:
        told.append(
            f"{_were(record.audited, 'copy', 'copies')} trained all the same as a check: {record.alike} not told "
            "apart by training from what was copied."
        )
    if record.left_out:
        told.append(f"{_were(record.left_out, 'candidate')} not trained because others agreed better.")
    return told


def _settings(view: RunView) -> tuple[int, int]:
    """Selection seeds and steps of a training, 1 and 0 where the settings are not known."""
    training = view.config.get("training")
    seeds = _search(view).get("seeds")
    steps = training.get("steps") if isinstance(training, Mapping) else None
    return (seeds if isinstance(seeds, int) else 1), (steps if isinstance(steps, int) else 0)


def _search(view: RunView) -> Mapping[str, Any]:
    """The settings of the search, empty where they are not known."""
    search = view.config.get("search")
    return search if isinstance(search, Mapping) else {}


def _row(record: CurseRecord, unit: str) -> LeaderRow:
    return LeaderRow(
        key=record.candidate,
        carried=record.selected,
        score=f"{number(record.score)}{unit}",
        again=f"{number(record.again)}{unit}" if finite(record.again) else "failed",
        gap=f"{signed(record.again - record.score)}{unit}" if finite(record.again) else "",
        final=f"{number(record.final)}{unit}" if finite(record.final) else "",
    )


def _were(amount: int, thing: str, things: str = "") -> str:
    return f"{count(amount, thing, things)} {'was' if amount == 1 else 'were'}"
