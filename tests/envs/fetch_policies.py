"""Policies by hand for the Fetch arm: where the gripper should go next, from where things are alone.

Observations ``(n, O)`` → actions ``(n, 4)``, beyond the actions' range where that means: as far as it goes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STRIDE = 0.05  # m: how far an action of 1 moves a gripper's target
ABOVE = 0.09  # m: a gripper this high over a block on the table does not touch it,
CLEAR = 0.06  # m: nor on its way there from this height on
BEHIND = 0.065  # m: where pushing starts, behind the block's middle
PUSHED = 0.015  # m: to the goal, near enough to let go


def reach(seen: Tensor) -> Tensor:
    """Straight to the goal."""
    return torch.cat([(seen[:, 3:6] - seen[:, :3]) / STRIDE, torch.zeros(len(seen), 1)], dim=-1)


def push(seen: Tensor) -> Tensor:
    """Up, over to behind the block, down, and towards the goal, keeping the block in front."""
    block, goal, gripper = seen[:, :3], seen[:, 3:6], seen[:, 6:9]
    way, where, height = (goal - block)[:, :2], gripper[:, :2], gripper[:, 2:] - block[:, 2:]
    distance = way.norm(dim=-1, keepdim=True)
    ahead = way / distance.clamp(min=1e-6)
    start = block[:, :2] - BEHIND * ahead
    along = ((where - block[:, :2]) * ahead).sum(-1, keepdim=True)
    aside = where - block[:, :2] - along * ahead
    low = height < 0.03
    pushing = low & (along < -0.03) & (aside.norm(dim=-1, keepdim=True) < 0.02)
    at_start = (where - start).norm(dim=-1, keepdim=True) < 0.02
    there = distance < PUSHED

    onward = where + ahead * (0.6 * distance).clamp(max=0.03) - 0.7 * aside
    place = torch.where(at_start | (height > CLEAR), start, where)
    place = torch.where(there, where, torch.where(pushing, onward, place))
    rise = torch.where(pushing | at_start, 0.0, ABOVE)
    target = torch.cat([place, block[:, 2:] + torch.where(there, height, rise)], dim=-1)
    return torch.cat([(target - gripper) / STRIDE, torch.zeros(len(seen), 1)], dim=-1)


def pick_and_place(seen: Tensor) -> Tensor:
    """Over the block with open fingers, down, close them, to the goal."""
    block, goal, gripper, open_by = seen[:, :3], seen[:, 3:6], seen[:, 6:9], seen[:, 15:17].sum(-1)
    away = block - gripper
    over = away[:, :2].norm(dim=-1) < 0.02
    around = over & (away[:, 2] > -0.01)
    held = around & (open_by < 0.06)
    above = block + torch.tensor([0.0, 0.0, 0.08])
    target = torch.where(over[:, None], block, above)
    target = torch.where(around[:, None], torch.where(held[:, None], goal, gripper), target)
    fingers = torch.where(around, -1.0, 1.0)
    return torch.cat([(target - gripper) / STRIDE, fingers[:, None]], dim=-1)


FETCH: dict[str, Callable[[Tensor], Tensor]] = {
    "fetch/pick_and_place": pick_and_place,
    "fetch/push": push,
    "fetch/reach": reach,
}
