"""What a run came to, in sentences and table rows: the part of the report that is true without a picture."""

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
    """One reported score. Texts are ready to show; ``measured`` tells whether there is anything behind them."""

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
    """``verdict`` in one sentence, what stands behind it in further ones, and a table."""

    verdict: str
    sentences: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    selection: str


def unit_of(view: RunView) -> str:
    """The fitness unit with a space before it, or nothing for a pure number."""
    unit = str(view.task.get("fitness_unit", "") or "")
    return unit_suffix(unit)


def threshold(view: RunView) -> float | None:
    """The fitness at which an episode is a success; None when it is not known."""
    value = view.task.get("success_threshold")
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def fitness_range(view: RunView) -> tuple[float, float]:
    """The least and the greatest fitness that the task can have; infinite where it was not recorded."""
    ends = view.task.get("fitness_range")
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        return -math.inf, math.inf
    low, high = (float(end) if isinstance(end, (int, float)) and not isinstance(end, bool) else None for end in ends)
    return (-math.inf if low is None else low), (math.inf if high is None else high)


def evaluation_of(view: RunView, name: str) -> Evaluation | None:
    """The reported score of "winner", "expert" or "sparse"; None where there is none."""
    final = view.final(name)
    return final.evaluation if final is not None else None


def usable(evaluation: Evaluation | None) -> bool:
    """Whether there is a finite mean with a finite interval."""
    return evaluation is not None and all(map(math.isfinite, (evaluation.mean, evaluation.low, evaluation.high)))


def headline(view: RunView) -> Headline:
    unit = unit_of(view)
    rows = tuple(_row(view, name, unit) for name in LABELS)
    winner = view.final("winner")
    evaluation = winner.evaluation if winner else None
    selection = _selection(view, evaluation, unit)
    if evaluation is None or not usable(evaluation):
        return Headline(_no_verdict(view, evaluation), (), rows, selection)
    comparisons = []
    for name in ("expert", "sparse"):
        other = view.final(name)
        comparisons.append(_compare(evaluation, other.evaluation if other else None, LABELS[name], unit))
    comparisons += _on_the_common_scale(view, evaluation)
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
    if evaluation is not None:
        return "The winning reward was measured, but its score is not a finite number: there is no result."
    if view.winner:
        return f"{view.winner} was selected, but its score on fresh trainings has not been measured."
    if view.status == "finished" or (view.status == "failed" and not fitness(view)):
        return f"No reward found: {no_reward(view)}"
    return "No winner has been selected yet."


def no_reward(view: RunView) -> str:
    """Why a run found no reward: the problem that most of its candidates ended with."""
    candidates = list(view.candidates.values())
    ends = Counter(str(candidate.problems[-1]) for candidate in candidates if candidate.problems)
    often = ends.most_common(1)
    why = f"; {often[0][1]} ended with: {shorten(often[0][0], 200, placeholder=' ...').rstrip('.')}" if often else ""
    return f"none of {len(candidates)} candidates could be trained{why}."


def _compare(winner: Evaluation, other: Evaluation | None, label: str, unit: str) -> str:
    if other is None or not usable(other):
        state = "was not measured" if other is None else "has no finite score"
        return f"The {label} {state}, so there is nothing to compare with."
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
    """The human-normalised score, where expert and sparse reward tell a scale."""
    others = [final.evaluation for name in ("expert", "sparse") if (final := view.final(name)) and final.evaluation]
    if len(others) < 2:
        return []
    expert, sparse = others
    value = normalised(winner.mean, expert.mean, sparse.mean)
    if not math.isfinite(value):
        return []
    end = "1" if expert.mean > sparse.mean else "−1"
    told = f"Human-normalised score {number(value)}, where 0 is the sparse reward's and {end} the expert's."
    if expert.low <= sparse.high and sparse.low <= expert.high:
        told += " The intervals of those two overlap: the length of this scale is not sure, and the score says little."
    return [told]


def _row(view: RunView, name: str, unit: str) -> ScoreRow:
    final = view.final(name)
    evaluation = final.evaluation if final else None
    trainings = final.trainings if final else ()
    failed = [training for training in trainings if training.status == "failed"]
    note = f"{len(failed)} of {len(trainings)} trainings failed: {failed[0].message}" if failed else ""
    if evaluation is None:
        return ScoreRow(name, LABELS[name], "not measured", "", "", str(len(trainings) or ""), note, False)
    episodes = sum(len(seed) for seed in evaluation.fitness)
    told = f"{count(evaluation.seeds, 'training')}, {count(episodes, 'episode')}"
    if not math.isfinite(evaluation.mean):
        return ScoreRow(name, LABELS[name], "not finite", "", percent(evaluation.success_rate), told, note, False)
    interval = f"{number(evaluation.low)} to {number(evaluation.high)}"
    if not usable(evaluation):
        interval = "none"
    mean = f"{number(evaluation.mean)}{unit}"
    return ScoreRow(name, LABELS[name], mean, interval, percent(evaluation.success_rate), told, note, True)


def _selection(view: RunView, evaluation: Evaluation | None, unit: str) -> str:
    """The score that picked the winner, kept apart from the one that is reported for it."""
    chosen = view.candidates.get(view.winner or "")
    score = chosen.score if chosen else None
    if not finite(score):
        return ""
    tried = len(fitness(view))
    text = f"{view.winner} was selected out of {count(tried, 'scored candidate')} with {number(score)}{unit}."
    again = chosen.again_score if chosen else None
    if again is not None and finite(again):
        text += f" Measured again on fresh seeds before it counted, it reached {number(again)}{unit}."
    if not usable(evaluation) or evaluation is None:
        return text
    gap = (score or 0.0) - evaluation.mean
    text += (
        f" Trained anew on seeds that played no part in the selection it reached {number(evaluation.mean)}{unit}: "
        f"a gap of {signed(gap)}{unit}."
    )
    if gap > 0:
        text += " The best of many noisy scores is picked partly for its luck: only the second number is reported."
    return text


def cost_rows(view: RunView) -> list[tuple[str, str]]:
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
    if cost.training_seconds > 0 and cost.steps > 0:
        rows.insert(5, ("training speed", f"{cost.steps / cost.training_seconds:,.0f} environment steps a second"))
    return rows


def settings(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as dotted keys and texts."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += settings(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", "none" if value is None else str(value)))
    return rows


def fitness(view: RunView) -> dict[str, float]:
    """Candidate → its score, of those that have a finite one."""
    scores = {key: candidate.score for key, candidate in view.candidates.items()}
    return {key: score for key, score in scores.items() if score is not None and math.isfinite(score)}


def generation_title(view: RunView, generation: GenerationView) -> str:
    several = len({each.restart for each in view.generations}) > 1
    return (f"Restart {generation.restart}, generation " if several else "Generation ") + str(generation.index)


def bounds(view: RunView, candidate: CandidateView) -> tuple[float, float] | None:
    """The ends of a candidate's interval, cut off where no fitness can lie; None where nothing varies."""
    low, high = candidate.low, candidate.high
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return None
    least, greatest = fitness_range(view)
    return max(low, least), min(high, greatest)


def interval(view: RunView, candidate: CandidateView) -> str:
    """A candidate's interval as text; "" where nothing varies."""
    ends = bounds(view, candidate)
    return "" if ends is None else f"{number(ends[0])} to {number(ends[1])}"


def success(trainings: tuple[TrainingResult, ...]) -> float | None:
    """The mean success rate at the best checkpoints; None without any."""
    rates = [best.success_rate for training in trainings if (best := training.best) and finite(best.success_rate)]
    return math.fsum(rates) / len(rates) if rates else None


def ancestry(view: RunView, key: str | None) -> list[CandidateView]:
    """From the first ancestor down to ``key``; a loop or a missing parent ends it."""
    known = view.candidates
    line: list[CandidateView] = []
    while key in known and all(key != member.key for member in line):
        line.append(known[key])
        key = known[key].parent
    return line[::-1]


def finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _interval(evaluation: Evaluation, unit: str) -> str:
    span = f"{number(evaluation.low)} to {number(evaluation.high)}{unit}"
    return f"{100 * evaluation.confidence:g} % interval {span}"
