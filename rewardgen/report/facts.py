"""A run's results in sentences and table rows: the part of the report that needs no picture."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from rewardgen.evaluation import normalised
from rewardgen.records import Evaluation, TrainingResult
from rewardgen.store.view import CandidateView, GenerationView, RunView
from rewardgen.text import count, duration, number, percent, signed, unit_suffix

LABELS = {"winner": "winning reward", "expert": "expert's reward", "sparse": "sparse reward"}


@dataclass(frozen=True)
class ScoreRow:
    """One reported score. Texts are ready to show; ``measured``: there is a finite score."""

    name: str
    label: str
    mean: str
    interval: str
    success: str
    trainings: str
    note: str
    measured: bool


@dataclass(frozen=True)
class Headline:
    """``verdict`` in one sentence, further ``sentences`` that support it, and a table."""

    verdict: str
    sentences: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    selection: str


def unit_of(view: RunView) -> str:
    """Return the fitness unit after a space; nothing for a pure number."""
    unit = str(view.task.get("fitness_unit", "") or "")
    return unit_suffix(unit)


def threshold(view: RunView) -> float | None:
    """Return the fitness from which on an episode is a success; None if it is unknown."""
    value = view.task.get("success_threshold")
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def fitness_range(view: RunView) -> tuple[float, float]:
    """Return the least and the greatest fitness of the task; infinite if they were not stored."""
    ends = view.task.get("fitness_range")
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        return -math.inf, math.inf
    # The file may have been edited: anything but a number is no bound
    low, high = (float(end) if isinstance(end, (int, float)) and not isinstance(end, bool) else None for end in ends)
    return (-math.inf if low is None else low), (math.inf if high is None else high)


def evaluation_of(view: RunView, name: str) -> Evaluation | None:
    """Return the reported score of "winner", "expert" or "sparse"; None if there is none."""
    final = view.final(name)
    return final.evaluation if final is not None else None


def usable(evaluation: Evaluation | None) -> bool:
    """Return whether there is a finite mean with a finite interval."""
    return evaluation is not None and all(map(math.isfinite, (evaluation.mean, evaluation.low, evaluation.high)))


def headline(view: RunView) -> Headline:
    """Return the verdict of a run, what supports it, and its scores."""
    unit = unit_of(view)
    rows = tuple(_row(view, name, unit) for name in LABELS)
    winner = view.final("winner")
    evaluation = winner.evaluation if winner else None
    selection = _selection(view, evaluation, unit)
    # Without a score there is nothing to compare
    if evaluation is None or not usable(evaluation):
        return Headline(_no_verdict(view, evaluation), (), rows, selection)
    # Compare with the baselines
    comparisons = []
    for name in ("expert", "sparse"):
        other = view.final(name)
        comparisons.append(_compare(evaluation, other.evaluation if other else None, LABELS[name], unit))
    comparisons += _on_the_common_scale(view, evaluation)
    # The verdict, and what weakens it
    verdict = (
        f"The winning reward reached {number(evaluation.mean)}{unit} "
        f"({_interval(evaluation, unit)}) in {count(evaluation.seeds, 'fresh training')}."
    )
    if evaluation.seeds < 3:
        comparisons.append(
            f"With {count(evaluation.seeds, 'training seed')} the interval says little about how the next training "
            "would turn out: trainings of the same reward differ."
        )
    if view.status != "finished":
        comparisons.append("The run is not finished: these numbers may still change.")
    return Headline(verdict, tuple(comparisons), rows, selection)


def _no_verdict(view: RunView, evaluation: Evaluation | None) -> str:
    """Return why there is no reported score."""
    if evaluation is not None:
        return "The winning reward was measured, but its score is not a finite number: there is no result."
    if view.winner:
        return f"{view.winner} was selected, but its score on fresh trainings has not been measured."
    if view.status == "finished" or (view.status == "failed" and not fitness(view)):
        return f"No reward found: {no_reward(view)}"
    return "No winner has been selected yet."


def no_reward(view: RunView) -> str:
    """Return why a run found no reward: the problem with which most of its candidates ended."""
    candidates = list(view.candidates.values())
    ends = Counter(str(candidate.problems[-1]) for candidate in candidates if candidate.problems)
    most_frequent = ends.most_common(1)
    why = (
        f"; {most_frequent[0][1]} ended with: {shorten(most_frequent[0][0], 200, placeholder=' ...').rstrip('.')}"
        if most_frequent
        else ""
    )
    return f"none of {len(candidates)} candidates could be trained{why}."


def _compare(winner: Evaluation, other: Evaluation | None, label: str, unit: str) -> str:
    """Return whether the intervals tell the winner and a baseline apart."""
    if other is None or not usable(other):
        state = "was not measured" if other is None else "has no finite score"
        return f"The {label} {state}, so there is nothing to compare with."
    # Only intervals that do not overlap show a difference
    against = f"the {label}: {number(other.mean)}{unit} ({_interval(other, unit)})"
    if winner.low > other.high:
        return f"Better than {against}; the intervals do not overlap."
    if winner.high < other.low:
        return f"Worse than {against}; the intervals do not overlap."
    return (
        f"Not told apart from {against}; the intervals overlap, so the difference of "
        f"{signed(winner.mean - other.mean)}{unit} is not supported by this run."
    )


def _on_the_common_scale(view: RunView, winner: Evaluation) -> list[str]:
    """Return a sentence on the human-normalised score, if the baselines give a scale."""
    others = [final.evaluation for name in ("expert", "sparse") if (final := view.final(name)) and final.evaluation]
    if len(others) < 2:
        return []
    # The scale is undefined if both reached the same
    expert, sparse = others
    value = normalised(winner.mean, expert.mean, sparse.mean)
    if not math.isfinite(value):
        return []
    end = "1" if expert.mean > sparse.mean else "−1"
    text = f"Human-normalised score {number(value)}, where 0 is the sparse reward's and {end} the expert's."
    if expert.low <= sparse.high and sparse.low <= expert.high:
        text += " The intervals of those two overlap: the length of this scale is not sure, and the score says little."
    return [text]


def _row(view: RunView, name: str, unit: str) -> ScoreRow:
    """Return a reported score as a row."""
    final = view.final(name)
    evaluation = final.evaluation if final else None
    # Failed trainings are noted
    trainings = final.trainings if final else ()
    failed = [training for training in trainings if training.status == "failed"]
    note = f"{len(failed)} of {len(trainings)} trainings failed: {failed[0].message}" if failed else ""
    # Not measured, not finite, or a score
    if evaluation is None:
        return ScoreRow(name, LABELS[name], "not measured", "", "", str(len(trainings) or ""), note, False)
    episodes = sum(len(seed) for seed in evaluation.fitness)
    measured_on = f"{count(evaluation.seeds, 'training')}, {count(episodes, 'episode')}"
    if not math.isfinite(evaluation.mean):
        return ScoreRow(
            name, LABELS[name], "not finite", "", percent(evaluation.success_rate), measured_on, note, False
        )
    interval = f"{number(evaluation.low)} to {number(evaluation.high)}"
    if not usable(evaluation):
        interval = "none"
    mean = f"{number(evaluation.mean)}{unit}"
    return ScoreRow(name, LABELS[name], mean, interval, percent(evaluation.success_rate), measured_on, note, True)


def _selection(view: RunView, evaluation: Evaluation | None, unit: str) -> str:
    """Return the score that selected the winner, which is not the one that is reported."""
    chosen = view.candidates.get(view.winner or "")
    score = chosen.score if chosen else None
    if not finite(score):
        return ""
    tried = len(fitness(view))
    text = f"{view.winner} was selected out of {count(tried, 'scored candidate')} with {number(score)}{unit}."
    # On fresh seeds, before it was selected
    again = chosen.again_score if chosen else None
    if again is not None and finite(again):
        text += f" Measured again on fresh seeds before it counted, it reached {number(again)}{unit}."
    # Compared with the reported score
    if not usable(evaluation) or evaluation is None:
        return text
    gap = (score or 0.0) - evaluation.mean
    text += (
        f" Trained again on seeds that played no part in the selection, it reached {number(evaluation.mean)}{unit}: "
        f"a gap of {signed(gap)}{unit}."
    )
    if gap > 0:
        text += " The best of many noisy scores is picked partly for its luck: only the second number is reported."
    return text


def cost_rows(view: RunView) -> list[tuple[str, str]]:
    """Return what the run has cost, as rows of name and value."""
    cost = view.cost
    about = "about " if cost.estimated else ""
    rows = [
        ("requests to the author of rewards", f"{cost.calls:,} ({cost.cached_calls:,} answered from the cache)"),
        ("tokens of prompts", f"{about}{cost.prompt_tokens:,}"),
        ("tokens of answers", f"{about}{cost.completion_tokens:,}"),
        ("paid", cost.paid),
        ("environment steps", f"{cost.steps:,}"),
        ("time spent training", duration(cost.training_seconds)),
        ("time altogether", duration(cost.seconds)),
    ]
    # Speed is only known once something was trained
    if cost.training_seconds > 0 and cost.steps > 0:
        rows.insert(5, ("training speed", f"{cost.steps / cost.training_seconds:,.0f} environment steps a second"))
    return rows


def settings(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as dotted keys and texts."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += settings(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", "none" if value is None else str(value)))
    return rows


def fitness(view: RunView) -> dict[str, float]:
    """Return candidate → its score, for those with a finite score."""
    scores = {key: candidate.score for key, candidate in view.candidates.items()}
    return {key: score for key, score in scores.items() if score is not None and math.isfinite(score)}


def generation_title(view: RunView, generation: GenerationView) -> str:
    """Return "Generation 2", with the restart if there are several."""
    several = len({each.restart for each in view.generations}) > 1
    return (f"Restart {generation.restart}, generation " if several else "Generation ") + str(generation.index)


def bounds(view: RunView, candidate: CandidateView) -> tuple[float, float] | None:
    """Return the ends of a candidate's interval, clipped to the possible fitness; None if nothing varies."""
    low, high = candidate.low, candidate.high
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return None
    least, greatest = fitness_range(view)
    return max(low, least), min(high, greatest)


def interval(view: RunView, candidate: CandidateView) -> str:
    """Return a candidate's interval as text; "" if nothing varies."""
    ends = bounds(view, candidate)
    return "" if ends is None else f"{number(ends[0])} to {number(ends[1])}"


def success(trainings: tuple[TrainingResult, ...]) -> float | None:
    """Return the mean success rate at the best checkpoints; None if there are none."""
    rates = [best.success_rate for training in trainings if (best := training.best) and finite(best.success_rate)]
    return math.fsum(rates) / len(rates) if rates else None


def ancestry(view: RunView, key: str | None) -> list[CandidateView]:
    """Return the candidates from the first ancestor to ``key``; a loop or a missing parent ends the line."""
    known = view.candidates
    line: list[CandidateView] = []
    while key in known and all(key != member.key for member in line):
        line.append(known[key])
        key = known[key].parent
    return line[::-1]


def finite(value: float | None) -> bool:
    """Return whether a value is there and finite."""
    return value is not None and math.isfinite(value)


def _interval(evaluation: Evaluation, unit: str) -> str:
    """Return an interval with its confidence level."""
    span = f"{number(evaluation.low)} to {number(evaluation.high)}{unit}"
    return f"{100 * evaluation.confidence:g} % interval {span}"
