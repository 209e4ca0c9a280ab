"""The run's budget of environment steps and hours. (Dollars, tokens and calls are guarded where they are spent.)"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rewardgen.config import BudgetConfig
from rewardgen.errors import BudgetExceeded


class WorkBudget:
    """Stops new work before it is exceeded.

    Args:
        limits: the settings; None is no limit.
        steps_spent: gives the environment steps that the run has paid for.
        seconds_before: wall-clock seconds that earlier processes of this run took.
    """

    def __init__(self, limits: BudgetConfig, steps_spent: Callable[[], int], seconds_before: float) -> None:
        self._limits = limits
        self._steps_spent = steps_spent
        self._before = seconds_before
        self._began = time.monotonic()
        self._rate: float | None = None

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the whole run, earlier processes included."""
        return self._before + time.monotonic() - self._began

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Time within counts for nothing: people take as long as they take."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._began += time.monotonic() - began

    def measured(self, steps_per_second: float) -> None:
        """Learn how fast this machine trains, so that hours can be foreseen."""
        self._rate = steps_per_second

    def check_steps(self, steps: int, *, reserve: int = 0) -> None:
        """Whether ``steps`` more may be taken while ``reserve`` stay for later.

        Raises:
            BudgetExceeded: they would exceed the limit on steps, or, at the measured speed, the one on hours.
        """
        limit = self._limits.steps
        if limit is not None:
            left = limit - self._steps_spent()
            if steps + reserve > left:
                raise BudgetExceeded(
                    f"the budget of {limit:,} environment steps has {max(left, 0):,} left, and this needs {steps:,}"
                    + (f" with {reserve:,} kept for the reported scores" if reserve else "")
                    + "; raise --budget-steps or lower --steps"
                )
        self.check_hours()
        hours = self._limits.hours
        if hours is not None and self._rate:
            needed = (steps + reserve) / self._rate
            if self.seconds + needed > hours * 3600:
                raise BudgetExceeded(
                    f"the budget of {hours:g} hours has {max(hours * 3600 - self.seconds, 0) / 60:.0f} minutes left, "
                    f"and this would take about {needed / 60:.0f}; raise --budget-hours or lower --steps"
                )

    def check_hours(self) -> None:
        """Raises BudgetExceeded once the run has taken the hours it was given."""
        hours = self._limits.hours
        if hours is not None and self.seconds >= hours * 3600:
            raise BudgetExceeded(f"the budget of {hours:g} hours is used up; raise --budget-hours and resume")
