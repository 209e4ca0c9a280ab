"""Map actions to actuator commands in ways that tasks of several packages share."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from rewardgen.sim import Simulator
from rewardgen.tasks.base import Task


class UnitActions(Task):
    """A task whose actions lie from -1 to 1 and are spread over each actuator's range."""

    @cached_property
    def action_low(self) -> Tensor:
        return -torch.ones(self.model.nu)

    @cached_property
    def action_high(self) -> Tensor:
        return torch.ones(self.model.nu)

    def advance(self, sim: Simulator, action: Tensor) -> None:
        middle, half = self._spread(sim.field("ctrl"))
        sim.step(middle + action * half, self.frame_skip)

    def _spread(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return centre and half-width of each actuator's range, ``(nu,)`` each, with dtype and device of ``like``."""
        if like.device not in self._spreads:
            low, high = torch.tensor(self.model.actuator_ctrlrange).unbind(-1)
            self._spreads[like.device] = (0.5 * (high + low)).to(like), (0.5 * (high - low)).to(like)
        return self._spreads[like.device]

    @cached_property
    def _spreads(self) -> dict[torch.device, tuple[Tensor, Tensor]]:
        return {}
