"""Which searches the budgets of a sweep allow: whole ones, in the order of the plan.

A search is let begin once what it can take at most fits beside what those before it took, or can still take. Thus no
budget is exceeded, those that are left out are the last of the plan, whatever ends first, and a sweep that is stopped
and continued decides the same again.
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
    """At most so much of ``quantity`` for all searches of the arms in ``arms`` together."""

    what: str
    quantity: str
    most: float
    arms: frozenset[str]


def limits(budgets: Budgets, arms: Sequence[str]) -> list[Limit]:
    """Every limit that the budgets of a sweep set: of all arms together, and of each arm."""
    everyone = [("the sweep's budget", budgets.total, frozenset(arms))]
    each = [
        (f"the budget of {arm}", budget, frozenset([arm]))
        for pattern, budget in budgets.arms.items()
        for arm in fnmatch.filter(arms, pattern)
    ]
    return [
        Limit(what, quantity, most, of)
        for what, budget, of in [*everyone, *each]
        for quantity in LIMITED
        if (most := getattr(budget, quantity)) is not None
    ]


class Ledger:
    """Decides who may begin.

    Args:
        most: of each search, in the plan's order, what it can take at most of each quantity.
    """

    def __init__(self, limits: Sequence[Limit], arms: Sequence[str], most: Sequence[Mapping[str, float]]) -> None:
        self._limits, self._arms, self._most = limits, arms, most
        self._spent: dict[int, Amounts] = {}
        self.left_out: dict[int, str] = {}
        """Searches that no budget allows → why."""

    def ended(self, index: int, spent: Amounts) -> None:
        """Search ``index`` is over, for better or worse, and took this."""
        self._spent[index] = spent

    def allowed(self) -> Iterator[int]:
        """The searches that may be under way, in the plan's order. Those that can never be are noted as left out."""
        used = dict.fromkeys(self._limits, 0.0)
        still_open = dict.fromkeys(self._limits, False)
        for index, arm in enumerate(self._arms):
            if index in self.left_out:
                continue
            mine = [limit for limit in self._limits if arm in limit.arms]
            if index in self._spent:
                for limit in mine:
                    used[limit] += getattr(self._spent[index], limit.quantity) or 0.0
                continue
            need = self._most[index]
            tight = [limit for limit in mine if used[limit] + need[limit.quantity] > limit.most * (1 + _ROUNDING)]
            if any(not still_open[limit] for limit in tight):
                limit = next(limit for limit in tight if not still_open[limit])
                left = max(0.0, limit.most - used[limit])
                self.left_out[index] = (
                    f"{limit.what} of {limit.most:,g} {limit.quantity} has {left:,.4g} left, "
                    f"and this search may take {need[limit.quantity]:,.4g}"
                )
                continue
            for limit in mine:
                used[limit] += need[limit.quantity]
                still_open[limit] = True
            if not tight:
                yield index


def budgeted(plan: Plan, rates: Rates, threads: int) -> tuple[Plan, list[dict[str, float]]]:
    """``plan`` with each search's own budget where the sweep has one, and what each search can take at most.

    That is what is expected of it, with a margin; where the budgets leave more than that for all searches, each has its
    part of the rest too: how slow a machine is today must not cut a search off that there is a budget for.
    """
    expected = [bound(planned.config, of_planned(planned, rates, threads)) for planned in plan.searches]
    found = limits(plan.spec.budgets, [arm.name for arm in plan.arms])
    arms = [planned.arm for planned in plan.searches]
    room = {limit: _room(limit, arms, expected) for limit in found}
    bounds = []
    for planned, most in zip(plan.searches, expected, strict=True):
        own, widened = planned.config.budget.model_dump(), dict(most)
        for quantity in LIMITED:
            factors = [room[each] for each in found if each.quantity == quantity and planned.arm in each.arms]
            widened[quantity] = min(most[quantity] * min(factors, default=1.0), own[quantity] or math.inf)
        bounds.append(widened)
    searches = tuple(
        replace(planned, config=_capped(planned, found, most))
        for planned, most in zip(plan.searches, bounds, strict=True)
    )
    return replace(plan, searches=searches), bounds


def _room(limit: Limit, arms: Sequence[str], expected: Sequence[Mapping[str, float]]) -> float:
    """By how much all that share ``limit`` can take more than is expected of them; 1 where they cannot."""
    total = math.fsum(most[limit.quantity] for arm, most in zip(arms, expected, strict=True) if arm in limit.arms)
    return max(1.0, limit.most / total) if 0 < total < math.inf else 1.0


def _capped(planned: Planned, limits: Sequence[Limit], most: Mapping[str, float]) -> Config:
    """The search's configuration with a budget of its own for all that the sweep limits."""
    limited = {limit.quantity for limit in limits if planned.arm in limit.arms}
    values = planned.config.budget.model_dump()
    for quantity in limited:
        cap = most[quantity]
        if cap != float("inf"):
            values[quantity] = round(cap) if quantity in ("tokens", "calls", "steps") else cap
    return planned.config.model_copy(update={"budget": BudgetConfig.model_validate(values)})
