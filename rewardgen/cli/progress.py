"""The progress of a running search from its events, for both the live view and the plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rewardgen.request import asked_for
from rewardgen.text import clock

if TYPE_CHECKING:
    from rewardgen.config import Config
    from rewardgen.search import Event
    from rewardgen.search.events import (
        AttemptScreened,
        Evaluated,
        RunStarted,
        Scored,
        TrainingStarted,
        WaitingForPeople,
    )


@dataclass
class Row:
    """One candidate of the current generation. ``status``: asked, accepted, rejected, sent back, training, …"""

    key: str
    status: str = "asked"
    attempts: int = 0
    problem: str = ""
    fitness: dict[int, float] = field(default_factory=dict)
    """Seed → fitness at its last checkpoint."""
    steps: int = 0
    score: float | None = None
    success_rate: float | None = None
    selected: bool = False

    @property
    def latest(self) -> float | None:
        """Mean of the latest fitness over seeds; None before the first checkpoint."""
        return sum(self.fitness.values()) / len(self.fitness) if self.fitness else None


@dataclass
class Training:
    """The current training; ``steps`` and ``total`` are of all its members together."""

    what: str
    members: int
    total: int
    steps: int = 0
    rate: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds left of this training; None before its speed is known."""
        return (self.total - self.steps) / self.rate if self.rate > 0 else None


class Progress:
    """Receives events; knows what a person wants to know while waiting.

    Args:
        config: the run's settings, from which the remaining work is estimated; None if unknown.
        clock: seconds, monotonic.
    """

    def __init__(self, config: Config | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._config, self._clock, self._began = config, clock, clock()
        self.started: RunStarted | None = None
        self.restart = self.generation = 0
        self.parent: str | None = None
        self.rows: dict[str, Row] = {}
        self.training: Training | None = None
        self.finals: dict[str, Evaluated] = {}
        self.cost: dict[str, Any] = {}
        self.asking: str = ""
        self.waiting: WaitingForPeople | None = None
        self.best: tuple[str, float] | None = None
        self.warnings: list[str] = []

    @property
    def seconds(self) -> float:
        """Seconds since this process began."""
        return self._clock() - self._began

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds left of the whole run, from the current training's speed; None before there is one."""
        if self._config is None or self.training is None or self.training.rate <= 0:
            return None
        search, steps = self._config.search, self._config.training.steps
        each = search.candidates * search.seeds * steps
        finals = 3 * self._config.evaluation.report_seeds * steps  # of the winner, the expert's and the sparse reward
        if self.training.what == "final":
            left = self.training.total - self.training.steps
        else:
            done = self.restart * search.generations + self.generation + 1
            later = search.restarts * search.generations - done
            left = self.training.total - self.training.steps + later * each + finals
        return left / self.training.rate

    @property
    def cost_so_far(self) -> dict[str, Any]:
        """The cost with the steps of the current training, without the time."""
        under_way = self.training.steps if self.training is not None else 0
        cost = {key: value for key, value in self.cost.items() if key != "seconds"}
        return {**cost, "steps": cost.get("steps", 0) + under_way}

    def update(self, event: Event) -> None:
        """Update from one event."""
        from rewardgen.search import events

        match event:
            # The run and its generations
            case events.RunStarted():
                self.started = event
            case events.GenerationStarted():
                self.restart, self.generation, self.parent = event.restart, event.generation, event.parent
                self.rows, self.training = {}, None
            # Requests to the language model, and checks of the replies
            case events.Calling():
                self.asking = f"asking for {asked_for(event.purpose, event.n)}"
            case events.Replied():
                self.asking = ""
            case events.AttemptScreened():
                self._screened(event)
            # Trainings
            case events.TrainingStarted():
                self._training_started(event)
            case events.TrainingProgress() if self.training is not None:
                training = self.training
                training.steps, training.total, training.rate = event.steps, event.total, event.steps_per_second
            case events.CheckpointReached() if event.candidate in self.rows:
                row = self.rows[event.candidate]
                row.fitness[event.seed], row.steps = event.fitness, event.steps
            case events.MemberFailed() if event.candidate in self.rows:
                self.rows[event.candidate].problem = event.message
            case events.MemberStopped() if event.candidate in self.rows:
                row = self.rows[event.candidate]
                row.status, row.problem = "stopped", event.message
            # Scores, judgements and selection
            case events.Scored():
                self._scored(event)
            case events.WaitingForPeople():
                self.waiting, self.training = event, None
            case events.Judged():
                self.waiting = None
            case events.Selected():
                self.training = None
                if event.candidate in self.rows:
                    self.rows[event.candidate].selected = True
            # Reported scores, cost and warnings
            case events.Evaluated():
                self.training = None
                self.finals[event.name] = event
            case events.CostSoFar():
                self.cost = event.data
                if self.training is not None and self.training.steps >= self.training.total:
                    self.training = None  # its steps are included in the cost now
            case events.RunWarning():
                self.warnings.append(event.message)

    def _screened(self, event: AttemptScreened) -> None:
        """Note whether a program was accepted."""
        row = self.rows.setdefault(event.candidate, Row(event.candidate))
        row.attempts = event.attempt + 1
        row.status = "accepted" if event.accepted else "sent back"
        row.problem = "" if event.accepted else "; ".join(event.problems)

    def _training_started(self, event: TrainingStarted) -> None:
        """Begin to follow a training; candidates that were still being repaired are out."""
        self.training, self.asking = Training(event.what, event.members, event.steps), ""
        for row in self.rows.values():
            if event.what == "generation" and row.status == "accepted":
                row.status = "training"
            elif row.status == "sent back":
                row.status = "rejected"

    def _scored(self, event: Scored) -> None:
        """Note a candidate's score; it is the best so far if no other trained to the end with a higher one."""
        row = self.rows.setdefault(event.candidate, Row(event.candidate))
        row.score, row.success_rate = event.score, event.success_rate
        row.status = "stopped" if event.stopped else event.status
        if event.score is not None and not event.stopped and (self.best is None or event.score > self.best[1]):
            self.best = (event.candidate, event.score)


def cost_text(cost: dict[str, Any]) -> str:
    """Return the cost of the run so far in one line; "" if there is none."""
    if not cost:
        return ""
    parts = []
    tokens = int(cost.get("prompt_tokens", 0)) + int(cost.get("completion_tokens", 0))
    if tokens:  # 0 if no language model is used
        dollars = f", ${cost['dollars']:.4f}" if cost.get("dollars") else ""
        parts.append(f"{cost['calls']} calls, {tokens:,} tokens{dollars}")
    parts.append(f"{cost.get('steps', 0):,} environment steps")
    if "seconds" in cost:
        parts.append(clock(cost["seconds"]))
    return ", ".join(parts)
