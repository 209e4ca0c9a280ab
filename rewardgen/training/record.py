"""The state of one member's results while it trains."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter

from rewardgen.errors import UsageError
from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.saved import Saved, content, value
from rewardgen.training import weights as weights_file
from rewardgen.training.credit import Credit
from rewardgen.training.labelling import Member

_CURVE = TypeAdapter(list[Checkpoint])


@dataclass
class Record:
    """Curve, weights and status of one member so far.

    ``failure`` and ``stopped`` are the reason why it ended early, or "". ``keep`` says which checkpoint's weights are
    kept: that of the best fitness, of the best return of its own reward, or the last.
    """

    member: Member
    credit: Credit | None = None
    failure: str = ""
    stopped: str = ""
    curve: list[Checkpoint] = field(default_factory=list)
    weights: bytes | None = None
    steps: int = 0
    keep: Literal["best", "own", "last"] = "best"

    def add(self, point: Checkpoint, weights: Callable[[], bytes]) -> None:
        """Append a checkpoint to the curve and store ``weights()`` if it is the one to keep so far."""
        former = max((each.own_return for each in self.curve if each.chosen), default=-math.inf)
        # Mark the checkpoint whose policy is kept and later scored; a NaN return never replaces another
        if self.keep == "last" or (self.keep == "own" and point.own_return > former):
            self.curve = [replace(each, chosen=False) for each in self.curve]
            point = replace(point, chosen=True)
        self.curve.append(point)
        # Serialise the weights only if they are kept
        if self.result(0.0).best is point:
            self.weights = weights()

    def confirm(self, point: Checkpoint) -> None:
        """Replace the kept policy's checkpoint by ``point``, a new measurement of the same policy."""
        kept = self.result(0.0).best
        assert kept is not None, "no checkpoint was kept"
        again = replace(point, steps=kept.steps, goal_reached=kept.goal_reached, chosen=True)
        self.curve = [again if each is kept else replace(each, chosen=False) for each in self.curve]

    def save(self) -> dict[str, Any]:
        """Return status, steps, curve and weights, for the training's saved state."""
        curve = _CURVE.dump_python(self.curve)
        saved = {"failure": self.failure, "stopped": self.stopped, "steps": self.steps, "curve": curve}
        return saved if self.weights is None else {**saved, "weights": self.weights}

    def restore(self, saved: Saved) -> None:
        """Load what ``save`` returned; raise ValueError if it does not fit."""
        self.failure, self.stopped = value(saved, "failure", str), value(saved, "stopped", str)
        self.steps = value(saved, "steps", int)
        self.curve = _CURVE.validate_python(saved.get("curve"))
        self.weights = content(saved, "weights")
        if self.weights is not None:
            try:
                weights_file.parse(self.weights)
            except UsageError as error:
                raise ValueError(str(error)) from error

    def result(self, seconds: float) -> TrainingResult:
        """Return the results so far; ``seconds`` is the wall-clock time of the training."""
        status = "failed" if self.failure else "stopped" if self.stopped else "done"
        return TrainingResult(
            key=self.member.key,
            seed=self.member.seed,
            status=status,  # type: ignore[arg-type]
            message=self.failure or self.stopped,
            curve=tuple(self.curve),
            weights=self.weights,
            steps=self.steps,
            seconds=seconds,
        )
