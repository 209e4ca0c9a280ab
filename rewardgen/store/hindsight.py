"""What a run's trainings revealed about the decisions that were made before and during them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

from rewardgen.store.view import CandidateView, GenerationView, RunView


@dataclass(frozen=True)
class RaceRecord:
    """The race of one generation.

    ``steps`` were taken on the selection seeds, of the ``full`` number that training all candidates to the end would
    have taken. ``further`` trainings of the candidates that reached the end used some of the rest.
    """

    trained: int
    stopped: int
    steps: int
    full: int
    further: int


@dataclass(frozen=True)
class CurseRecord:
    """A generation's leader: its score as leader, its score on fresh seeds and, if it won the run, the reported one."""

    candidate: str
    selected: bool
    score: float
    again: float
    final: float | None


@dataclass(frozen=True)
class ScreeningRecord:
    """How often stored episodes predicted what training showed.

    Of the pairs of candidates of one generation whose intervals after training do not overlap, ``told_apart`` were also
    ranked by agreement, and ``right`` of these in the same order. ``copies`` programs were sent back as copies. Of
    ``audited`` copies that were trained anyway, ``alike`` were not told apart from their original. ``left_out``
    candidates were not trained because others agreed better with the fitness.
    """

    forecasts: int
    told_apart: int
    right: int
    copies: int
    audited: int
    alike: int
    left_out: int


def race_record(generation: GenerationView, seeds: int, steps: int) -> RaceRecord | None:
    """Return the race of a generation with ``seeds`` seeds of ``steps`` each per candidate; None if nobody stopped."""
    trained = [candidate for candidate in generation.candidates if candidate.trainings]
    stopped = [candidate for candidate in trained if candidate.stopped]
    if not stopped:
        return None
    # Candidates that reached the end may have further trainings, which take whole trainings' steps
    counts = [len(candidate.trainings) for candidate in trained]
    everything = sum(training.steps for candidate in trained for training in candidate.trainings)
    further = sum(max(0, count - seeds) for count in counts)
    longest = max(training.steps for candidate in trained for training in candidate.trainings)
    whole = max(steps, longest)
    return RaceRecord(len(trained), len(stopped), everything - further * whole, len(trained) * seeds * whole, further)


def curse_records(view: RunView) -> list[CurseRecord]:
    """Return the leaders that were measured again, in order."""
    winner = view.final("winner")
    final = winner.evaluation.mean if winner is not None and winner.evaluation is not None else None
    return [
        CurseRecord(
            candidate.key, candidate.selected, candidate.score, again, final if candidate.key == view.winner else None
        )
        for candidate in view.candidates.values()
        if (again := candidate.again_score) is not None and candidate.score is not None
    ]


def screening_record(view: RunView) -> ScreeningRecord | None:
    """Return how screening did over the whole run; None if it was not used."""
    forecasts = [candidate.forecast for candidate in view.candidates.values() if candidate.forecast is not None]
    if not forecasts:
        return None
    told_apart = right = audited = alike = 0
    # Compare the predicted with the measured order, for each pair of a generation
    for generation in view.generations:
        for one, other in combinations(generation.candidates, 2):
            forecast = _predicted(one, other)
            if forecast is not None and (measured := _measured(one, other)) is not None and measured != 0:
                told_apart += 1
                right += measured == forecast
    # Compare copies that were trained with what they are copies of
    for candidate in view.candidates.values():
        copied = candidate.forecast
        if copied is not None and copied.audit and copied.nearest in view.candidates:
            measured = _measured(candidate, view.candidates[copied.nearest])
            audited += measured is not None
            alike += measured == 0
    # Count the programs that were spared a training
    copies = sum(
        any(problem.stage == "copy" for problem in attempt.problems)
        for candidate in view.candidates.values()
        for attempt in candidate.attempts
    )
    left_out = sum(forecast.left_out for forecast in forecasts)
    return ScreeningRecord(len(forecasts), told_apart, right, copies, audited, alike, left_out)


def _predicted(one: CandidateView, other: CandidateView) -> int | None:
    """Return 1 if stored episodes ranked the first higher, -1 if the second; None if they cannot tell."""
    if one.forecast is None or other.forecast is None:
        return None
    first, second = one.forecast.agreement, other.forecast.agreement
    return None if first is None or second is None or first == second else 1 if first > second else -1


def _measured(one: CandidateView, other: CandidateView) -> int | None:
    """Return 1 if training showed the first to be better, -1 if the second, 0 if neither; None without scores."""
    # Only intervals that do not overlap tell two candidates apart
    ends = [one.low, one.high, other.low, other.high]
    if any(end is None or not math.isfinite(end) for end in ends):
        return None
    low, high, other_low, other_high = (float(end) for end in ends if end is not None)
    return 1 if low > other_high else -1 if high < other_low else 0
