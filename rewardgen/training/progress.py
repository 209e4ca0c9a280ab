"""Count-based exploration bonuses over discretised progress, added to the task's sparse reward.

Sarukkai et al., "Automated Rewards via LLM-Generated Progress Functions" (ProgressCounts), 2024, arXiv 2410.09187: a
program measures the progress of each sub-task, the measures are divided into bins and their bin numbers summed, and the
Nth visit of a bin pays a bonus of 1/√N. The bonus drives exploration away from visited bins, so a measure only has to
order states correctly; its scale does not matter.
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
    """Visit counts and bonuses of one training.

    The range of each measure is divided into ``bins`` equal parts, and a state's bin is the sum of its measures' part
    numbers, as in the paper. (In the paper a program also declares whether each measure rises or falls; here all rise.
    The paper's finer division of later sub-tasks is not implemented.) The initial range is that of the first rollout.
    If a later rollout leaves it, the range doubles until it fits, and all counts restart from zero.

    A rollout is counted before its bonuses are computed: m visits of a bin whose count is then N pay m/√N together,
    whatever their order.
    """

    def __init__(self, config: CreditConfig, task: Task, seed: int, worlds: int) -> None:
        self._config, self._task = config, task
        self._names: tuple[str, ...] = ()
        self.counts = torch.zeros(0, dtype=torch.int64)
        """Visits of each bin so far, ``(bins,)``."""
        self.low, self.span = torch.zeros(0), torch.zeros(0)
        """Lower bound and length of each measure's range, ``(C,)`` float64."""

    def pay(self, rows: Rows) -> Tensor:
        """See ``Credit``: count the rollout's visits, then return sparse rewards plus bonuses."""
        # Extend the ranges
        checked(rows.components, rows.names, self._names)
        self._cover(rows.components.double().flatten(0, 1), rows.names)

        # Count the visits
        bins = self._bins(rows.components)
        self.counts += torch.bincount(bins.flatten(), minlength=len(self.counts))

        # Add the bonuses to the sparse reward
        parts = (rows.states, rows.actions, rows.next_states)
        extrinsic = sparse(self._task, *(part.flatten(0, 1) for part in parts)).view(bins.shape)
        return self._sum(bins, extrinsic)

    def _cover(self, measures: Tensor, names: tuple[str, ...]) -> None:
        """Extend the ranges until they contain ``measures`` ``(B, C)``; reset the counts if a range changes."""
        low, high = measures.aminmax(dim=0)
        if not self._names:
            self._names, self.low, self.span = names, low, (high - low).clamp(min=1e-6)
            self.counts = torch.zeros(len(names) * (self._config.bins - 1) + 1, dtype=torch.int64)
        left = True
        while left:
            # Double each range that is left, upwards or downwards
            above, below = high > self.low + self.span, low < self.low
            self.low = torch.where(below, self.low - self.span, self.low)
            self.span = torch.where(above | below, 2.0 * self.span, self.span)
            left = bool((above | below).any())
            if left:
                self.counts.zero_()

    def value(self, labels: Labels, states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
        """See ``Credit``: sparse rewards plus bonuses ``(B,)`` under the present counts, which do not change."""
        checked(labels.components, labels.names, self._names)
        extrinsic = sparse(self._task, states, actions, next_states)
        if not self._names:  # no rollout so far, so no ranges and counts
            return self._config.sparse_weight * extrinsic
        bins = self._bins(labels.components)
        return self._sum(bins, extrinsic)

    def save(self) -> dict[str, Any]:
        """See ``Credit``."""
        return {"names": list(self._names), "counts": self.counts, "low": self.low, "span": self.span}

    def restore(self, saved: Saved) -> None:
        """See ``Credit``."""
        names = tuple(value(saved, "names", list))
        if not names:  # saved before the first rollout
            return
        ranges = torch.zeros(len(names), dtype=torch.float64)
        counts = torch.zeros(len(names) * (self._config.bins - 1) + 1, dtype=torch.int64)
        self.counts = tensor(saved, "counts", counts)
        self.low, self.span = tensor(saved, "low", ranges), tensor(saved, "span", ranges)
        self._names = names

    def _bins(self, measures: Tensor) -> Tensor:
        """Return the int64 bins ``(...)`` of measures ``(..., C)``."""
        bins = self._config.bins
        parts = ((measures.double() - self.low) / self.span * bins).floor().clamp(0, bins - 1)
        return parts.sum(-1).long()

    def _sum(self, bins: Tensor, extrinsic: Tensor) -> Tensor:
        """Return the weighted sum of sparse rewards and bonuses, of the shape of ``bins``."""
        # An unvisited bin pays as at its first visit
        bonus = self.counts[bins].clamp(min=1).double().rsqrt().float()
        return self._config.sparse_weight * extrinsic + self._config.count_weight * bonus
