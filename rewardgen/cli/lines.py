"""A search as plain lines, one per event: for logs, pipes and screen readers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from rewardgen.cli.output import safe
from rewardgen.cli.progress import Progress, cost_text
from rewardgen.text import clock, short_number

if TYPE_CHECKING:
    from rewardgen.search import Event
    from rewardgen.search.events import (
        Judged,
        RunStarted,
        Scored,
        Selected,
        TrainingProgress,
        WaitingForPeople,
    )

TRAININGS = {
    "further": "on further seeds",
    "again": "on fresh seeds, to measure the best again",
    "final": "for the reported scores",
}
INTERVAL = 10.0
"""Seconds between two lines on the progress of a training."""


class Lines:
    """A listener that prints to ``screen``."""

    def __init__(self, progress: Progress, screen: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress, self._screen, self._clock = progress, screen, clock
        self._last_line = clock()

    def __call__(self, event: Event) -> None:
        self._progress.update(event)
        line = self._line(event)
        if line:
            self._screen.print(safe(line))

    def _line(self, event: Event) -> str:
        """Return the line for an event; "" for none."""
        from rewardgen.search import events

        match event:
            case events.RunStarted():
                return self._run_started(event)
            # Generations and their programs
            case events.GenerationStarted():
                restart = f" of restart {event.restart}" if event.restart else ""
                parent = f", improving on {event.parent}" if event.parent else ""
                return f"generation {event.generation}{restart}{parent}"
            case events.EndpointNotice() | events.Note():
                return f"  {event.message}"
            case events.Replied():
                cost = f", ${event.dollars:.4f}" if event.dollars else ""
                return f"  {event.replies} replies ({event.purpose}){cost}"
            case events.AttemptScreened():
                if not event.accepted:
                    return f"  {event.candidate}: refused: " + "; ".join(event.problems)
                return f"  {event.candidate}: accepted" + (f" after {event.attempt} repairs" if event.attempt else "")
            # Trainings
            case events.TrainingStarted():
                self._last_line = self._clock()
                purpose = TRAININGS.get(event.what, "of this generation")
                return f"  training {event.members} policies {purpose}, {event.steps:,} steps in all"
            case events.TrainingProgress():
                return self._training_progress(event)
            case events.MemberFailed():
                return f"  {event.candidate}, seed {event.seed}: failed: {event.message}"
            case events.MemberStopped():
                return f"  {event.candidate}, seed {event.seed}: {event.message}"
            case events.Scored():
                return self._scored(event)
            case events.Remeasured():
                before, after = short_number(event.score), short_number(event.again)
                return f"  {event.candidate}: {before} when it was chosen, {after} on fresh seeds"
            # Judgements and selection
            case events.WaitingForPeople():
                return f"  {waiting_text(event)}; {how_to_judge(self._progress)}"
            case events.Judged():
                return f"  {judged_text(event)}"
            case events.Selected():
                return self._selected(event)
            # Reported scores
            case events.BaselineFound():
                return f"  {event.name}: trained before on this machine, not again"
            case events.Evaluated():
                interval = f"[{short_number(event.low)}, {short_number(event.high)}]"
                score, success = short_number(event.mean), short_number(event.success_rate)
                return f"  {event.name}: {score} {interval}, success rate {success}"
            case events.RunWarning():
                return f"  note: {event.message}"
        return ""

    def _run_started(self, event: RunStarted) -> str:
        """Return the first lines: the size of the run, where it takes place, and its author if that is no model."""
        begun = "resuming" if event.resumed else "starting"
        line = (
            f"{begun} {event.run}: {event.task}, {event.generations} generations of {event.candidates} candidates, "
            f"{event.steps:,} steps each; rewards written by {event.author}"
        )
        return "\n".join([line, arrangement_text(event), *([no_model_note(event.author)] if event.offline else [])])

    def _training_progress(self, event: TrainingProgress) -> str:
        """Return the progress of a training, every ``INTERVAL`` seconds."""
        now = self._clock()
        if now - self._last_line < INTERVAL:
            return ""
        self._last_line = now
        rate = event.steps_per_second
        left = (event.total - event.steps) / rate if rate > 0 else float("nan")
        return f"  {event.steps / event.total:.0%} of {event.total:,} steps, {rate:,.0f} a second, {clock(left)} left"

    def _scored(self, event: Scored) -> str:
        """Return a candidate's score."""
        if event.score is None:
            return f"  {event.candidate}: {event.status}, no score"
        so_far = " when it was stopped" if event.stopped else ""
        score = short_number(event.score)
        return f"  {event.candidate}: score {score}{so_far}, success rate {event.success_rate:.0%}"

    def _selected(self, event: Selected) -> str:
        """Return the best candidate of a generation, and the cost so far."""
        if event.candidate is None:
            line = "  none has a score"
        else:
            line = f"  best of the generation: {event.candidate} with {short_number(event.score)}"
        cost = cost_text(self._progress.cost)
        return line + (f" (so far: {cost})" if cost else "")


def arrangement_text(started: RunStarted) -> str:
    """Return where a run that has ``started`` takes place and why, and the settings that were changed for it."""
    return "\n".join([f"{started.arrangement} ({started.why})", *(f"note: {change}" for change in started.changes)])


def waiting_text(event: WaitingForPeople) -> str:
    """Return what a search is waiting for, in one line."""
    heard = f"{event.heard} of {event.wanted} judgements of generation {event.generation}"
    return f"waiting for people: {heard}, until {event.until}"


def how_to_judge(progress: Progress) -> str:
    """Return how to judge the replays that a search is waiting for, in one line."""
    path = Path(progress.started.path if progress.started is not None else "runs/RUN")
    elsewhere = "" if path.parent == Path("runs") else f" --out {path.parent}"
    return f"judge in the browser with `rewardgen web{elsewhere}`, or in a terminal with `rewardgen prefer {path}`"


def judged_text(event: Judged) -> str:
    """Return the result of a generation's judgements, in one line."""
    words = f", {event.words} with words" if event.words else ""
    return f"liked best of the generation: {event.candidate} ({event.heard} judgements{words})"


def no_model_note(author: str) -> str:
    """Return what a reader must know of rewards that no language model wrote."""
    return OFFLINE if author.startswith("offline") else "No language model is asked: the replies come from a recording."


OFFLINE = (
    "No language model is involved: the offline author combines and mutates terms on the task's declared fields. "
    "Set an API key and --llm MODEL to have one write them."
)
