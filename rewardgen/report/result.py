"""The result of a run in one panel: the same in the terminal, the report and the pages.

``result`` returns the verdict in a word, its reason, one bar for each reported reward, and the command for the next
step. ``status_word`` is its short form for lists of runs.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rewardgen.config import LLMConfig
from rewardgen.records import Evaluation
from rewardgen.report.facts import (
    LABELS,
    Headline,
    evaluation_of,
    fitness_range,
    headline,
    no_reward,
    threshold,
    unit_of,
    usable,
)
from rewardgen.store import Glance, RunView
from rewardgen.text import number

Word = Literal[
    "works",
    "inconclusive",
    "nothing learned",
    "waiting for you",
    "waiting for answers",
    "running",
    "stopped",
    "failed",
    "no reward found",
]
Tone = Literal["good", "unsure", "bad", "busy"]

TONES: Mapping[Word, Tone] = {
    "works": "good",
    "inconclusive": "unsure",
    "nothing learned": "bad",
    "waiting for you": "busy",
    "waiting for answers": "busy",
    "running": "busy",
    "stopped": "unsure",
    "failed": "bad",
    "no reward found": "bad",
}
FLOOR = 0.05
"""Share of the success threshold up to which a mean fitness without any success counts as nothing learned."""
MORE_STEPS = 4
"""Factor of the steps that is suggested if nothing was learned."""
MORE_SEEDS = 10
"""Number of report seeds that is suggested if the intervals overlap."""


@dataclass(frozen=True)
class Bar:
    """One reported reward on the panel's scale. Positions are shares of the scale, in [0, 1].

    ``start`` and ``end`` bound the bar, from zero to the mean; ``low`` and ``high`` are the ends of the interval. Texts
    are ready to show; ``measured`` is False if there is no finite score, and ``note`` says why.
    """

    name: str
    label: str
    value: str
    interval: str
    success: str
    trainings: str
    note: str
    measured: bool
    start: float = 0.0
    end: float = 0.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class NextStep:
    """A suggested command, and what it is for."""

    what: str
    command: str


@dataclass(frozen=True)
class RunResult:
    """The panel. ``why`` is the reason of the word; ``success`` is the threshold's position on the bars' scale."""

    word: Word
    tone: Tone
    why: str
    headline: Headline
    bars: tuple[Bar, ...]
    success: float | None
    success_text: str
    next: tuple[NextStep, ...]


def result(view: RunView) -> RunResult:
    """Return the result of a run, finished or not."""
    head = headline(view)
    word, why = _verdict(view)
    bars, success = _bars(view, head)
    level = threshold(view)
    return RunResult(
        word=word,
        tone=TONES[word],
        why=why,
        headline=head,
        bars=bars,
        success=success,
        success_text="" if level is None else f"{number(level)}{unit_of(view)}",
        next=_next_steps(view, word),
    )


def status_word(glance: Glance) -> Word:
    """Return the verdict's word for a run in a list."""
    judged = glance.judge == "people"
    return _word(
        glance.status,
        glance.waiting,
        glance.winner,
        glance.evaluations,
        glance.threshold,
        judged=judged,
        asking=glance.asking,
    )


def document(outcome: RunResult) -> dict[str, Any]:
    """Return the verdict as plain values, for ``--json``."""
    return {
        "word": outcome.word,
        "why": outcome.why,
        "next": [{"what": step.what, "command": step.command} for step in outcome.next],
    }


# --------------------------------------------------------------------------------------------------------------------
# the verdict


def _word(
    status: str,
    waiting: bool,
    winner: str | None,
    evaluations: Mapping[str, Evaluation],
    level: float | None,
    *,
    judged: bool,
    asking: bool,
) -> Word:
    """Return the word for a run's state.

    Args:
        waiting: it waits for judgements; ``asking``: for answers to requests.
        judged: people alone ranked, so the fitness does not decide.
    """
    # Runs without a result
    if status == "failed":
        return "failed"
    if waiting:
        return "waiting for you"
    if status == "running":
        return "waiting for answers" if asking else "running"
    if status == "interrupted":
        return "stopped"
    if winner is None:
        return "no reward found"
    # The winner against the threshold
    own = evaluations.get("winner")
    if own is None or not usable(own):
        return "inconclusive"
    if level is not None and own.low >= level:
        return "works"
    if not judged and learned_nothing(own, level):
        return "nothing learned"
    # The winner against the baselines: several seeds are needed to compare
    others = [each for name in ("sparse", "expert") if usable(each := evaluations.get(name)) and each is not None]
    if own.seeds > 1 and any(own.low > other.high for other in others):
        return "works"
    return "inconclusive"


def learned_nothing(evaluation: Evaluation, level: float | None) -> bool:
    """Return whether policies are no better than doing nothing: no success, and hardly any fitness.

    That is: the same fitness in every episode, or a mean of at most ``FLOOR`` of a positive threshold.
    """
    if evaluation.success_rate > 0:
        return False
    values = [value for seed in evaluation.fitness for value in seed]
    same = len(values) > 1 and max(values) - min(values) <= 1e-9 * max(1.0, abs(values[0]))
    return same or (level is not None and level > 0 and evaluation.mean <= FLOOR * level)


def _verdict(view: RunView) -> tuple[Word, str]:
    """Return a run's word and its reason."""
    evaluations = {final.name: final.evaluation for final in view.finals if final.evaluation is not None}
    judged = _judge(view) == "people"
    level = threshold(view)
    waiting, asking = view.waiting is not None, bool(view.asking)
    word = _word(view.status, waiting, view.winner, evaluations, level, judged=judged, asking=asking)
    return word, _reason(view, word, evaluation_of(view, "winner"), level)


def _reason(view: RunView, word: Word, own: Evaluation | None, level: float | None) -> str:
    """Return the reason of a run's word."""
    unit = unit_of(view)
    # Runs without a result
    if word == "failed":
        return view.message or "no reason was recorded"
    if word == "no reward found":
        return no_reward(view)
    if word == "waiting for you":
        assert view.waiting is not None
        return f"the search goes on once generation {view.waiting.generation} has been judged"
    if word == "waiting for answers":
        return f"the author has to answer {view.asking[0].name} in {view.asking[0].parent}"
    if word == "running":
        done = sum(generation.finished for generation in view.generations)
        return f"{done} of {_wanted(view)} generations are finished"
    if word == "stopped":
        ended = view.message.removeprefix("stopped ") or "its process ended"
        return f"{ended}; everything that was done is stored"
    # Runs with a reported score
    if own is None or not usable(own):
        return "the winner's score has not been measured, or is not a finite number"
    if word == "works" and level is not None and own.low >= level:
        return f"the whole interval is above the threshold of success, {number(level)}{unit}"
    if word == "works":
        better = [LABELS[name] for name in ("expert", "sparse") if _above(own, evaluation_of(view, name))]
        return f"better than the {' and the '.join(better)}; the intervals do not overlap"
    if word == "nothing learned":
        length = (view.config.get("training") or {}).get("steps")
        steps = f" after {length:,} steps" if isinstance(length, int) else ""
        return f"the policies reached {number(own.mean)}{unit}{steps} and no episode was a success"
    if own.seeds < 2:
        return "one training seed shows nothing: trainings of the same reward differ"
    return f"{own.seeds} training seeds do not show that it is better than the others, or above the threshold"


def _above(own: Evaluation, other: Evaluation | None) -> bool:
    """Return whether one interval lies above another."""
    return other is not None and usable(other) and own.low > other.high


def _judge(view: RunView) -> str:
    """Return the setting ``search.judge`` of a run."""
    search = view.config.get("search")
    return str(search.get("judge", "fitness")) if isinstance(search, Mapping) else "fitness"


def _wanted(view: RunView) -> int:
    """Return the number of generations that a run was asked for, of all restarts."""
    search = view.config.get("search")
    generations, restarts = (
        (search.get("generations"), search.get("restarts", 1)) if isinstance(search, Mapping) else (None, None)
    )
    if isinstance(generations, int) and isinstance(restarts, int):
        return generations * restarts
    return len(view.generations)


# --------------------------------------------------------------------------------------------------------------------
# bars


def _bars(view: RunView, head: Headline) -> tuple[tuple[Bar, ...], float | None]:
    """Return a bar for each reported reward and the threshold's position; None if nothing was measured."""
    low, high = _scale(view)

    def place(value: float) -> float:
        """Return a fitness as a position on the scale."""
        return round(min(1.0, max(0.0, (value - low) / (high - low))), 4)

    bars = []
    for row in head.rows:
        # Place the bar and its interval
        evaluation = evaluation_of(view, row.name)
        placed: dict[str, float] = {}
        if evaluation is not None and usable(evaluation):
            zero, mean = place(0.0), place(evaluation.mean)
            interval = place(evaluation.low), place(evaluation.high)
            placed = {"start": min(zero, mean), "end": max(zero, mean), "low": interval[0], "high": interval[1]}
        bars.append(
            Bar(
                name=row.name,
                label=row.label,
                value=row.mean,
                interval=row.interval,
                success=row.success,
                trainings=row.trainings,
                note=row.note,
                measured=row.measured and bool(placed),
                **placed,
            )
        )
    level = threshold(view)
    shown = level is not None and any(bar.measured for bar in bars)
    return tuple(bars), place(level) if shown and level is not None else None


def _scale(view: RunView) -> tuple[float, float]:
    """Return the ends of the bars' common scale, which covers zero, the threshold and all intervals."""
    evaluations = [each for name in LABELS if usable(each := evaluation_of(view, name)) and each is not None]
    values = [value for each in evaluations for value in (each.low, each.high, each.mean)]
    level = threshold(view)
    values += [0.0] if level is None else [0.0, level]
    low, high = min(values), max(values)
    if not math.isfinite(high - low) or high - low < 1e-12:
        return low, low + 1.0
    # Leave a margin, but not below the least possible fitness
    margin = 0.03 * (high - low)
    least, _ = fitness_range(view)
    return (low if low >= least and low == 0.0 else low - margin), high + margin


# --------------------------------------------------------------------------------------------------------------------
# what to do next


def _next_steps(view: RunView, word: Word) -> tuple[NextStep, ...]:
    """Return the commands that a run's word suggests."""
    # Names may contain characters that a shell interprets
    run, task = shlex.quote(str(view.path)), shlex.quote(str(view.task.get("name", "TASK")))
    elsewhere = "" if str(view.path.parent) == "runs" else f" --out {shlex.quote(str(view.path.parent))}"
    training = view.config.get("training")
    steps = training.get("steps") if isinstance(training, Mapping) else None
    if word == "works":
        reward = shlex.quote(str(view.path / "export" / "reward.py"))
        return (
            NextStep(
                "train longer with the reward that was found",
                f"rewardgen train {task}{_folders(view)} --reward {reward}",
            ),
            NextStep("write the report with all replays", f"rewardgen report {run}"),
        )
    if word == "inconclusive":
        return (
            NextStep("search again with more seeds behind the scores", _again(view, f"--report-seeds {MORE_SEEDS}")),
            NextStep("write the report with all replays", f"rewardgen report {run}"),
        )
    if word == "nothing learned" and isinstance(steps, int):
        return (NextStep("search again with longer trainings", _again(view, f"--steps {MORE_STEPS * steps}")),)
    if word == "waiting for you":
        return (
            NextStep("judge in the browser", f"rewardgen web{elsewhere}"),
            NextStep("judge in a terminal", f"rewardgen prefer {run}"),
        )
    if word == "waiting for answers":
        return (NextStep("answer in the browser", f"rewardgen web{elsewhere}"),)
    if word == "running":
        return (NextStep("watch it in the browser", f"rewardgen web{elsewhere}"),)
    if word in ("stopped", "failed"):
        return (NextStep("continue where it stopped", f"rewardgen resume {run}"),)
    return (NextStep("see what was wrong with each candidate", f"rewardgen show {run}"),)


def _again(view: RunView, flags: str) -> str:
    """Return the command of a new search on the same task with the same author."""
    author = (
        "" if view.author.startswith(("offline", "replay")) or not view.author else f" --llm {shlex.quote(view.author)}"
    )
    llm = view.config.get("llm")
    endpoint = ""
    if author and isinstance(llm, Mapping):
        base_url, variable = llm.get("base_url"), llm.get("key_variable")
        endpoint += f" --base-url {shlex.quote(base_url)}" if isinstance(base_url, str) else ""
        if isinstance(variable, str) and variable != LLMConfig.model_fields["key_variable"].default:
            endpoint += f" --set llm.key_variable={variable}"
    task = shlex.quote(str(view.task.get("name", "TASK")))
    return f"rewardgen run {task}{_folders(view)}{author}{endpoint} {flags}"


def _folders(view: RunView) -> str:
    """Return the flags that name the run's further folders of task files."""
    return "".join(f" --envs {shlex.quote(str(folder))}" for folder in view.envs)


# --------------------------------------------------------------------------------------------------------------------
# bars as text


def text_bar(bar: Bar, success: float | None, width: int = 30) -> str:
    """Return a bar for the terminal: "=" up to the mean, "-" for the interval, "|" for the success threshold."""
    cells = [" "] * (width + 1)

    def cell(share: float) -> int:
        """Return the index of a position's character."""
        return round(share * width)

    # The interval, the bar over it, the threshold over both
    if bar.measured:
        for index in range(cell(bar.low), cell(bar.high) + 1):
            cells[index] = "-"
        for index in range(cell(bar.start), cell(bar.end) + 1):
            cells[index] = "="
    if success is not None:
        cells[cell(success)] = "|"
    return "".join(cells)
