"""A search as plain lines, one for each thing that happened: for logs, pipes and screen readers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from rewardgen.cli.output import safe
from rewardgen.cli.progress import Progress, cost_text
from rewardgen.text import clock, short_number

if TYPE_CHECKING:
    from rewardgen.search import Event

TRAININGS = {
    "further": "on further seeds",
    "again": "on fresh seeds, to measure the best again",
    "final": "for the reported scores",
}
EVERY = 10.0
"""Seconds between two lines on the progress of a training."""


class Lines:
    """A listener that writes to ``screen``."""

    def __init__(self, progress: Progress, screen: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress, self._screen, self._clock = progress, screen, clock
        self._said = clock()

    def __call__(self, event: Event) -> None:
        self._progress.take(event)
        tell = getattr(self, f"_{event.kind}", None)
        if tell is not None:
            line = tell(**event.data)
            if line:
                self._screen.print(safe(line))

    def _run_started(self, run: str, task: str, author: str, offline: bool, resumed: bool, **data: Any) -> str:
        begun = "resuming" if resumed else "starting"
        line = (
            f"{begun} {run}: {task}, {data['generations']} generations of {data['candidates']} candidates, "
            f"{data['steps']:,} steps each; rewards written by {author}"
        )
        return "\n".join([line, *arranged(data), *([no_model_note(author)] if offline else [])])

    def _generation_started(self, restart: int, generation: int, parent: str | None, **_: Any) -> str:
        return (
            f"generation {generation}"
            + (f" of restart {restart}" if restart else "")
            + (f", improving on {parent}" if parent else "")
        )

    def _endpoint(self, message: str, **_: Any) -> str:
        return f"  {message}"

    def _replied(self, purpose: str, replies: int, dollars: float, **_: Any) -> str:
        return f"  {replies} replies ({purpose})" + (f", ${dollars:.4f}" if dollars else "")

    def _verdict(self, candidate: str, attempt: int, accepted: bool, problems: Any, **_: Any) -> str:
        if accepted:
            return f"  {candidate}: accepted" + (f" after {attempt} repairs" if attempt else "")
        return f"  {candidate}: refused: " + "; ".join(problems)

    def _training_started(self, members: int, steps: int, what: str, **_: Any) -> str:
        self._said = self._clock()
        purpose = TRAININGS.get(what, "of this generation")
        return f"  training {members} policies {purpose}, {steps:,} steps in all"

    def _training_progress(self, steps: int, total: int, steps_per_second: float, **_: Any) -> str:
        now = self._clock()
        if now - self._said < EVERY:
            return ""
        self._said = now
        left = (total - steps) / steps_per_second if steps_per_second > 0 else float("nan")
        return f"  {steps / total:.0%} of {total:,} steps, {steps_per_second:,.0f} a second, {clock(left)} left"

    def _member_failed(self, candidate: str, seed: int, message: str, **_: Any) -> str:
        return f"  {candidate}, seed {seed}: failed: {message}"

    def _stopped(self, candidate: str, seed: int, message: str, **_: Any) -> str:
        return f"  {candidate}, seed {seed}: {message}"

    def _scored(
        self, candidate: str, score: float | None, success_rate: float, status: str, stopped: bool = False, **_: Any
    ) -> str:
        if score is None:
            return f"  {candidate}: {status}, no score"
        so_far = " when it was stopped" if stopped else ""
        return f"  {candidate}: score {short_number(score)}{so_far}, success rate {success_rate:.0%}"

    def _remeasured(self, candidate: str, score: float | None, again: float, **_: Any) -> str:
        return f"  {candidate}: {short_number(score)} when it was chosen, {short_number(again)} on fresh seeds"

    def _waiting(self, generation: int, heard: int, wanted: int, until: str, **_: Any) -> str:
        return f"  {waiting_text(generation, heard, wanted, until)}; {how_to_judge(self._progress)}"

    def _judged(self, generation: int, candidate: str, heard: int, words: int, **_: Any) -> str:
        return f"  {judged_text(candidate, heard, words)}"

    def _selected(self, candidate: str | None, score: float | None, **_: Any) -> str:
        cost = cost_text(self._progress.cost)
        chosen = (
            f"  best of the generation: {candidate} with {short_number(score)}" if candidate else "  none has a score"
        )
        return chosen + (f" (so far: {cost})" if cost else "")

    def _baseline_found(self, name: str, **_: Any) -> str:
        return f"  {name}: trained before on this machine, not again"

    def _evaluated(self, name: str, mean: float, low: float, high: float, success_rate: float, **_: Any) -> str:
        interval = f"[{short_number(low)}, {short_number(high)}]"
        return f"  {name}: {short_number(mean)} {interval}, success rate {short_number(success_rate)}"

    def _note(self, message: str, **_: Any) -> str:
        return f"  {message}"

    def _warning(self, message: str, **_: Any) -> str:
        return f"  note: {message}"


def arranged(started: Mapping[str, Any]) -> list[str]:
    """Where a run that has ``started`` takes place and why there, and the settings that it takes otherwise."""
    where = [f"{started['arrangement']} ({started['why']})"] if "arrangement" in started else []
    return [*where, *(f"note: {change}" for change in started.get("changes", ()))]


def waiting_text(generation: int, heard: int, wanted: int, until: str) -> str:
    """What a search waits for, in a line."""
    return f"waiting for people: {heard} of {wanted} judgements of generation {generation}, until {until}"


def how_to_judge(progress: Progress) -> str:
    path = Path(str(progress.started.get("path", "runs/RUN")))
    elsewhere = "" if path.parent == Path("runs") else f" --out {path.parent}"
    return f"judge in the browser with `rewardgen web{elsewhere}`, or in a terminal with `rewardgen prefer {path}`"


def judged_text(candidate: str, heard: int, words: int) -> str:
    """What judgements came to, in a line."""
    said = f"{heard} judgements" + (f", {words} with words" if words else "")
    return f"liked best of the generation: {candidate} ({said})"


def no_model_note(author: str) -> str:
    """What has to be said of rewards that no language model was asked for."""
    return OFFLINE if author.startswith("offline") else "No language model is asked: the replies come from a recording."


OFFLINE = (
    "No language model is involved: the offline author combines and mutates terms on the task's declared fields. "
    "Set an API key and --llm MODEL to have one write them."
)
