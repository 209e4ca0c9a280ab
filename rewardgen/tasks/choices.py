"""Discrete actions as columns of zeros and ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def one_hot(scores: Tensor, choices: Sequence[int], out: Tensor | None = None) -> Tensor:
    """1 in the column of the largest score of each component and 0 elsewhere, ``(..., sum(choices))`` like ``scores``.

    Args:
        choices: how many columns belong to each component.
    """
    taken = torch.zeros_like(scores) if out is None else out.zero_()
    for part, into in zip(scores.split(list(choices), -1), taken.split(list(choices), -1), strict=True):
        into.scatter_(-1, part.argmax(-1, keepdim=True), 1.0)
    return taken
