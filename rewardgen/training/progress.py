"""Count-based bonuses over discretised progress, beside the task's sparse reward.

Sarukkai et al., "Automated Rewards via LLM-Generated Progress Functions" (ProgressCounts), 2024, arXiv 2410.09187: a
program tells how far each sub-task has come, these measures are cut into bins and summed up, and a state that is
reached for the Nth time in its bin pays 1/√N. Exploration moves on from what is known, so a measure needs to be right
about the order of states, not about their worth.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rewardgen.config import CreditConfig
from rewardgen.records import Labels
from rewardgen.saved import Saved, tensor, value
from rewardgen.tasks import Task
from rewardgen.training.credit import Rows, checked, sparse


class CountBonus:
    """The counts of one training.

    The range of each measure is cut into ``bins`` equal parts, and a state's bin is the sum of its measures' parts, as
    in the paper. (There a program also says whether each measure rises or falls; here all rise. How the paper cuts
    later sub-tasks more finely is not followed.) The range is that of the first rollout; where a later one leaves it,
    it doubles until it holds it, and all counts begin anew.

    A rollout is counted first and paid then: m visits to a bin, of which N in all are known with them, pay m/√N
    together, whatever their order.
    """

    def __init__(self, config: CreditConfig, task: Task, seed: int, worlds: int) -> None:
        self._config, self._task = config, task
        self._names: tuple[str, ...] = ()
        self.counts = torch.zeros(0, dtype=torch.int64)
        """Visits of each bin so far, ``(bins,)``."""
        self.low, self.span = torch.zeros(0), torch.zeros(0)
        """Where each measure's range begins and how long it is, ``(C,)`` float64."""

    def pay(self, rows: Rows) -> Tensor:
        checked(rows.components, rows.names, self._names)
        self._cover(rows.components.double().flatten(0, 1), rows.names)
        bins = self._bins(rows.components)
        self.counts += torch.bincount(bins.flatten(), minlength=len(self.counts))
        parts = (rows.states, rows.actions, rows.next_states)
        extrinsic = sparse(self._task, *(part.flatten(0, 1) for part in parts)).view(bins.shape)
        return self._sum(bins, extrinsic)

    def _cover(self, measures: Tensor, names: tuple[str, ...]) -> None:
        """Let the ranges hold ``measures`` ``(B, C)``."""
        low, high = measures.aminmax(dim=0)
        if not self._names:
            self._names, self.low, self.span = names, low, (high - low).clamp(min=1e-6)
            self.counts = torch.zeros(len(names) * (self._config.bins - 1) + 1, dtype=torch.int64)
        left = True
        while left:
            above, below = high > self.low + self.span, low < self.low
            self.low = torch.where(below, self.low - self.span, self.low)
            self.span = torch.where(above | below, 2.0 * self.span, self.span)
            left = bool((above | below).any())
            if left:
                self.counts.zero_()

    def value(self, labels: Labels, states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
        checked(labels.components, labels.names, self._names)
        extrinsic = sparse(self._task, states, actions, next_states)
        if not self._names:  # nothing was trained on yet
            return self._config.sparse_weight * extrinsic
        bins = self._bins(labels.components)
        return self._sum(bins, extrinsic)

    def save(self) -> dict[str, Any]:
        return {"names": list(self._names), "counts": self.counts, "low": self.low, "span": self.span}

    def restore(self, saved: Saved) -> None:
        names = tuple(value(saved, "names", list))
        if not names:  # nothing was trained on yet
            return
        ranges = torch.zeros(len(names), dtype=torch.float64)
        counts = torch.zeros(len(names) * (self._config.bins - 1) + 1, dtype=torch.int64)
        self.counts = tensor(saved, "counts", counts)
        self.low, self.span = tensor(saved, "low", ranges), tensor(saved, "span", ranges)
        self._names = names

    def _bins(self, measures: Tensor) -> Tensor:
        """``(..., C)`` measures → ``(...)`` int64 bins."""
        bins = self._config.bins
        parts = ((measures.double() - self.low) / self.span * bins).floor().clamp(0, bins - 1)
        return parts.sum(-1).long()

    def _sum(self, bins: Tensor, extrinsic: Tensor) -> Tensor:
        bonus = self.counts[bins].clamp(min=1).double().rsqrt().float()
        return self._config.sparse_weight * extrinsic + self._config.count_weight * bonus
