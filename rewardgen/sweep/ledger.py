"""Decides which searches the budgets of a sweep allow: whole ones, in the order of the plan.

A search may start once the most that it can take fits next to what the searches before it took, or can still take. So
no budget is exceeded, the searches that are left out are the last of the plan, whichever ends first, and a sweep that
is stopped and continued decides the same again.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rewardgen.config import BudgetConfig, Config
from rewardgen.sweep.estimate import LIMITED, Amounts, bound, of_planned
from rewardgen.sweep.plan import Plan, Planned
from rewardgen.sweep.rates import Rates
from rewardgen.sweep.spec import Budgets

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Limit:
    """At most ``most`` of ``quantity`` for all searches of ``arms`` together."""

    what: str
    quantity: str
    most: float
    arms: frozenset[str]


def limits(budgets: Budgets, arms: Sequence[str]) -> list[Limit]:
    """Return every limit that the budgets of a sweep set: on all arms together, and on each arm."""
    # A pattern limits each arm that it matches, not all of them together
    whole = [("the sweep's budget", budgets.total, frozenset(arms))]
    each = [
        (f"the budget of {arm}", budget, frozenset([arm]))
        for pattern, budget in budgets.arms.items()
        for arm in fnmatch.filter(arms, pattern)
    ]
    return [
        Limit(what, quantity, most, of)
        for what, budget, of in [*whole, *each]
        for quantity in LIMITED
        if (most := getattr(budget, quantity)) is not None
    ]


class Ledger:
    """Decides which searches may start.

    Args:
        most: for each search in the plan's order, the most that it can take of each quantity.
    """

    def __init__(self, limits: Sequence[Limit], arms: Sequence[str], most: Sequence[Mapping[str, float]]) -> None:
        self._limits, self._arms, self._most = limits, arms, most
        self._spent: dict[int, Amounts] = {}
        self.left_out: dict[int, str] = {}
        """Searches that no budget allows → why."""

    def ended(self, index: int, spent: Amounts) -> None:
        """Note that search ``index`` is over and took ``spent``."""
        self._spent[index] = spent

    def allowed(self) -> Iterator[int]:
        """Yield the searches that may run, in the plan's order. Those that can never run go to ``left_out``."""
        used = dict.fromkeys(self._limits, 0.0)
        still_open = dict.fromkeys(self._limits, False)
        for index, arm in enumerate(self._arms):
            if index in self.left_out:
                continue
            own_limits = [limit for limit in self._limits if arm in limit.arms]
            # A search that is over counts with what it took
            if index in self._spent:
                for limit in own_limits:
                    used[limit] += getattr(self._spent[index], limit.quantity) or 0.0
                continue
            # A limit is tight if this search might exceed it; it may loosen as long as another search is still open
            need = self._most[index]
            tight = [limit for limit in own_limits if used[limit] + need[limit.quantity] > limit.most * (1 + _ROUNDING)]
            if any(not still_open[limit] for limit in tight):
                limit = next(limit for limit in tight if not still_open[limit])
                left = max(0.0, limit.most - used[limit])
                self.left_out[index] = (
                    f"{limit.what} of {limit.most:,g} {limit.quantity} has {left:,.4g} left, "
                    f"and this search may take {need[limit.quantity]:,.4g}"
                )
                continue
            # Reserve the most that it can take
            for limit in own_limits:
                used[limit] += need[limit.quantity]
                still_open[limit] = True
            if not tight:
                yield index


def budgeted(plan: Plan, rates: Rates, threads: int) -> tuple[Plan, list[dict[str, float]]]:
    """Return ``plan`` with a budget for each search, where the sweep has one, and the most that each search can take.

    That is the estimate with a margin. If the budgets leave more than that for all searches, each gets its part of the
    rest too: a slow machine must not stop a search that there is a budget for.
    """
    expected = [bound(planned.config, of_planned(planned, rates, threads)) for planned in plan.searches]
    all_limits = limits(plan.spec.budgets, [arm.name for arm in plan.arms])
    arms = [planned.arm for planned in plan.searches]
    widening = {limit: _widening(limit, arms, expected) for limit in all_limits}
    bounds = []
    # Widen each search's bounds by the rest that all its limits leave
    for planned, most in zip(plan.searches, expected, strict=True):
        own, widened = planned.config.budget.model_dump(), dict(most)
        for quantity in LIMITED:
            factors = [widening[each] for each in all_limits if each.quantity == quantity and planned.arm in each.arms]
            widened[quantity] = min(most[quantity] * min(factors, default=1.0), own[quantity] or math.inf)
        bounds.append(widened)
    # Each search enforces its own part
    searches = tuple(
        replace(planned, config=_capped(planned, all_limits, most))
        for planned, most in zip(plan.searches, bounds, strict=True)
    )
    return replace(plan, searches=searches), bounds


def _widening(limit: Limit, arms: Sequence[str], expected: Sequence[Mapping[str, float]]) -> float:
    """Return the factor by which all searches that share ``limit`` may exceed their estimates; at least 1."""
    total = math.fsum(most[limit.quantity] for arm, most in zip(arms, expected, strict=True) if arm in limit.arms)
    return max(1.0, limit.most / total) if 0 < total < math.inf else 1.0


def _capped(planned: Planned, limits: Sequence[Limit], most: Mapping[str, float]) -> Config:
    """Return the search's configuration with a budget for everything that the sweep limits."""
    limited = {limit.quantity for limit in limits if planned.arm in limit.arms}
    values = planned.config.budget.model_dump()
    for quantity in limited:
        cap = most[quantity]
        if cap != float("inf"):
            values[quantity] = round(cap) if quantity in ("tokens", "calls", "steps") else cap
    return planned.config.model_copy(update={"budget": BudgetConfig.model_validate(values)})
