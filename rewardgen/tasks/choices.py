"""Encode discrete actions as one-hot columns."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def one_hot(scores: Tensor, choices: Sequence[int], out: Tensor | None = None) -> Tensor:
    """Set the column of the largest score of each component to 1, the others to 0: ``(..., sum(choices))``.

    Args:
        scores: ``(..., sum(choices))``.
        choices: number of columns of each component.
        out: written and returned, if given; like ``scores``.
    """
    taken = torch.zeros_like(scores) if out is None else out.zero_()
    for part, into in zip(scores.split(list(choices), -1), taken.split(list(choices), -1), strict=True):
        into.scatter_(-1, part.argmax(-1, keepdim=True), 1.0)
    return taken
