"""A judge that knows the fitness, for tests and for measuring how much people's errors cost."""

from __future__ import annotations

import math
import random

from rewardgen.records import Answer


class SimulatedJudge:
    """Prefers the better of two by fitness and, with probability ``error_rate``, the other one.

    Args:
        error_rate: in [0, 0.5]; at 0.5 the answers are random.
        generator: draws the errors.
    """

    kind = "simulated"

    def __init__(self, error_rate: float, generator: random.Random) -> None:
        if not 0.0 <= error_rate <= 0.5:
            raise ValueError(f"the error rate must be between 0 and 0.5, not {error_rate}")
        self.name = f"simulated, wrong {100 * error_rate:g} %"
        self._error_rate, self._generator = error_rate, generator

    def answer(self, left: float, right: float) -> Answer:
        """Return which of two fitnesses belongs to the better replay; NaN is worse than anything."""
        wrong = self._generator.random() < self._error_rate
        a, b = (-math.inf if math.isnan(value) else value for value in (left, right))
        if a == b:
            return "equal"
        return "left" if (a > b) != wrong else "right"
