"""What one training has come to while it is in progress."""

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
    """What one member has come to so far."""

    member: Member
    credit: Credit | None = None
    failure: str = ""
    stopped: str = ""
    curve: list[Checkpoint] = field(default_factory=list)
    weights: bytes | None = None
    steps: int = 0
    keep: Literal["best", "own", "last"] = "best"

    def add(self, point: Checkpoint, weights: Callable[[], bytes]) -> None:
        """Append a point of the curve; ``weights()`` are kept if it is what the training stands for so far."""
        former = max((each.own_return for each in self.curve if each.chosen), default=-math.inf)
        # what is kept is also what the training is scored by; NaN is never above
        if self.keep == "last" or (self.keep == "own" and point.own_return > former):
            self.curve = [replace(each, chosen=False) for each in self.curve]
            point = replace(point, chosen=True)
        self.curve.append(point)
        if self.result(0.0).best is point:
            self.weights = weights()

    def confirm(self, point: Checkpoint) -> None:
        """Replace the checkpoint whose policy is kept by ``point``, what that policy was measured at again."""
        kept = self.result(0.0).best
        again = replace(point, steps=kept.steps, goal_reached=kept.goal_reached, chosen=True) if kept else point
        self.curve = [again if each is kept else replace(each, chosen=False) for each in self.curve]

    def save(self) -> dict[str, Any]:
        curve = _CURVE.dump_python(self.curve)
        saved = {"failure": self.failure, "stopped": self.stopped, "steps": self.steps, "curve": curve}
        return saved if self.weights is None else {**saved, "weights": self.weights}

    def restore(self, saved: Saved) -> None:
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
