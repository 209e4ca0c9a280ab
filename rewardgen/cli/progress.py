"""What is known of a running search from its events: the live view and the plain lines both draw from this."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rewardgen.request import Purpose, asked_for
from rewardgen.text import clock

if TYPE_CHECKING:
    from rewardgen.config import Config
    from rewardgen.search import Event


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
        self.started: dict[str, Any] = {}
        self.restart = self.generation = 0
        self.parent: str | None = None
        self.rows: dict[str, Row] = {}
        self.training: Training | None = None
        self.finals: dict[str, dict[str, Any]] = {}
        self.cost: dict[str, Any] = {}
        self.asking: str = ""
        self.waiting: dict[str, Any] = {}
        self.best: tuple[str, float] | None = None
        self.warnings: list[str] = []

    @property
    def seconds(self) -> float:
        return self._clock() - self._began

    @property
    def unit(self) -> str:
        return str(self.started.get("fitness_unit", ""))

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
        """Learn from one event; kinds that are not known are left alone."""
        handle = getattr(self, f"_{event.kind}", None)
        if handle is not None:
            handle(**event.data)

    # ---- one method for each kind of event

    def _run_started(self, **data: Any) -> None:
        self.started = data

    def _generation_started(self, restart: int, generation: int, parent: str | None = None, **_: Any) -> None:
        self.restart, self.generation, self.parent = restart, generation, parent
        self.rows, self.training = {}, None

    def _calling(self, purpose: Purpose, n: int, **_: Any) -> None:
        self.asking = f"asking for {asked_for(purpose, n)}"

    def _replied(self, **_: Any) -> None:
        self.asking = ""

    def _verdict(self, candidate: str, attempt: int, accepted: bool, problems: Any = (), **_: Any) -> None:
        row = self.rows.setdefault(candidate, Row(candidate))
        row.attempts = attempt + 1
        row.status = "accepted" if accepted else "sent back"
        row.problem = "" if accepted else "; ".join(problems)

    def _training_started(self, members: int, steps: int, what: str, **_: Any) -> None:
        self.training, self.asking = Training(what, members, steps), ""
        for row in self.rows.values():
            if what == "generation" and row.status == "accepted":
                row.status = "training"
            elif row.status == "sent back":
                row.status = "rejected"

    def _training_progress(self, steps: int, total: int, steps_per_second: float, **_: Any) -> None:
        if self.training is not None:
            self.training.steps, self.training.total, self.training.rate = steps, total, steps_per_second

    def _checkpoint(self, candidate: str, seed: int, steps: int, fitness: float, **_: Any) -> None:
        if candidate in self.rows:
            self.rows[candidate].fitness[seed] = fitness
            self.rows[candidate].steps = steps

    def _member_failed(self, candidate: str, message: str, **_: Any) -> None:
        if candidate in self.rows:
            self.rows[candidate].problem = message

    def _stopped(self, candidate: str, message: str, **_: Any) -> None:
        if candidate in self.rows:
            self.rows[candidate].status, self.rows[candidate].problem = "stopped", message

    def _scored(
        self,
        candidate: str,
        score: float | None,
        success_rate: float,
        status: str,
        stopped: bool = False,
        **_: Any,
    ) -> None:
        row = self.rows.setdefault(candidate, Row(candidate))
        row.score, row.success_rate, row.status = score, success_rate, "stopped" if stopped else status
        if score is not None and not stopped and (self.best is None or score > self.best[1]):
            self.best = (candidate, score)

    def _waiting(self, **data: Any) -> None:
        self.waiting, self.training = data, None

    def _judged(self, **_: Any) -> None:
        self.waiting = {}

    def _selected(self, candidate: str | None = None, **_: Any) -> None:
        self.training = None
        if candidate in self.rows:
            self.rows[candidate].selected = True

    def _evaluated(self, name: str, **data: Any) -> None:
        self.training = None
        self.finals[name] = data

    def _cost(self, **data: Any) -> None:
        self.cost = data
        if self.training is not None and self.training.steps >= self.training.total:
            self.training = None  # its steps are in the cost now

    def _warning(self, message: str, **_: Any) -> None:
        self.warnings.append(message)


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
