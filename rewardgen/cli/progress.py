"""What is known of a running search from its events: the live view and the plain lines both draw from this."""

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
    """One candidate of the generation at hand. ``status``: asked, accepted, rejected, repairing, training, …"""

    key: str
    status: str = "asked"
    attempts: int = 0
    problem: str = ""
    fitness: dict[int, float] = field(default_factory=dict)
    """Seed → true fitness at its last checkpoint."""
    steps: int = 0
    score: float | None = None
    success_rate: float | None = None
    selected: bool = False

    @property
    def latest(self) -> float | None:
        return sum(self.fitness.values()) / len(self.fitness) if self.fitness else None


@dataclass
class Training:
    """The training under way; ``steps`` and ``total`` are of all its members together."""

    what: str
    members: int
    total: int
    steps: int = 0
    rate: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        return (self.total - self.steps) / self.rate if self.rate > 0 else None


class Progress:
    """Takes events in; answers what a person wants to know while waiting.

    Args:
        config: the run's settings, from which the work that is still to come is estimated; None where unknown.
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
        return self._clock() - self._began

    @property
    def seconds_left(self) -> float | None:
        """An estimate of the whole run's rest from the speed of the present training; None before there is one."""
        if self._config is None or self.training is None or self.training.rate <= 0:
            return None
        search, steps = self._config.search, self._config.training.steps
        each = search.candidates * search.seeds * steps
        finals = 3 * self._config.evaluation.report_seeds * steps
        if self.training.what == "final":
            left = self.training.total - self.training.steps
        else:
            done = self.restart * search.generations + self.generation + 1
            later = search.restarts * search.generations - done
            left = self.training.total - self.training.steps + later * each + finals
        return left / self.training.rate

    @property
    def cost_so_far(self) -> dict[str, Any]:
        """The cost with the steps of the training under way, without the time."""
        under_way = self.training.steps if self.training is not None else 0
        cost = {key: value for key, value in self.cost.items() if key != "seconds"}
        return {**cost, "steps": cost.get("steps", 0) + under_way}

    def take(self, event: Event) -> None:
        """Learn from one event."""
        from rewardgen.search import events

        match event:
            case events.RunStarted():
                self.started = event
            case events.GenerationStarted():
                self.restart, self.generation, self.parent = event.restart, event.generation, event.parent
                self.rows, self.training = {}, None
            case events.Calling():
                self.asking = f"asking for {asked_for(event.purpose, event.n)}"
            case events.Replied():
                self.asking = ""
            case events.AttemptScreened():
                self._screened(event)
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
            case events.Evaluated():
                self.training = None
                self.finals[event.name] = event
            case events.CostSoFar():
                self.cost = event.data
                if self.training is not None and self.training.steps >= self.training.total:
                    self.training = None  # its steps are in the cost now
            case events.RunWarning():
                self.warnings.append(event.message)

    def _screened(self, event: AttemptScreened) -> None:
        row = self.rows.setdefault(event.candidate, Row(event.candidate))
        row.attempts = event.attempt + 1
        row.status = "accepted" if event.accepted else "sent back"
        row.problem = "" if event.accepted else "; ".join(event.problems)

    def _training_started(self, event: TrainingStarted) -> None:
        self.training, self.asking = Training(event.what, event.members, event.steps), ""
        for row in self.rows.values():
            if event.what == "generation" and row.status == "accepted":
                row.status = "training"
            elif row.status == "sent back":
                row.status = "rejected"

    def _scored(self, event: Scored) -> None:
        row = self.rows.setdefault(event.candidate, Row(event.candidate))
        row.score, row.success_rate = event.score, event.success_rate
        row.status = "stopped" if event.stopped else event.status
        if event.score is not None and not event.stopped and (self.best is None or event.score > self.best[1]):
            self.best = (event.candidate, event.score)


"""What a call to a language model asks for, by its purpose: one, and several."""


def cost_text(cost: dict[str, Any]) -> str:
    """What the run has cost so far, in a line."""
    if not cost:
        return ""
    parts = []
    tokens = int(cost.get("prompt_tokens", 0)) + int(cost.get("completion_tokens", 0))
    if tokens:  # none where no language model is asked
        dollars = f", ${cost['dollars']:.4f}" if cost.get("dollars") else ""
        parts.append(f"{cost['calls']} calls, {tokens:,} tokens{dollars}")
    parts.append(f"{cost.get('steps', 0):,} environment steps")
    if "seconds" in cost:
        parts.append(clock(cost["seconds"]))
    return ", ".join(parts)
