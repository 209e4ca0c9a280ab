"""Warm up a process that has loaded torch, so that nothing must be loaded when a program runs in it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable

import torch

from rewardgen.program import shaping
from rewardgen.program.allowlist import METHODS, MODULES


def rehearse() -> None:
    """Call every function that rewards may use once, so that torch's set-up at first use is done in every worker.

    A worker cannot open files: whatever is imported lazily must have been imported here.
    """
    import collections.abc
    import math
    import typing

    assert all((math, typing, collections.abc))  # rewards import them
    functional = torch.nn.functional
    x = torch.linspace(-1.0, 1.0, 128).view(8, 16)
    q = functional.normalize(x[:, :4], dim=-1)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The shaping library, with arguments of each function's own form
        for name in shaping.__all__:
            function = getattr(shaping, name)
            if name.startswith("quat_rotate"):
                function(q, x[:, :3])
            elif name in ("quat_multiply", "quat_angle", "distance", "angle_difference"):
                function(q, q)
            elif name in ("above", "below"):
                function(x, 0.0, 1.0)
            elif name in ("exponential", "gaussian", "proximity"):
                function(x, 1.0)
            elif name == "tolerance":
                for shape in ("gaussian", "linear", "long_tail"):
                    function(x, -0.1, 0.1, 1.0, shape)
            else:
                function(q)
        functional.smooth_l1_loss(x, x * 2, reduction="none")
        # Everything else that is allowed; only the first-use side effects matter
        for function in _allowed():
            for arguments in _arguments():
                with contextlib.suppress(Exception):  # most functions accept one or two of them
                    function(*arguments)
        # Printing a tensor imports further modules
        str(x)


def _allowed() -> list[Callable[..., object]]:
    """List every function and method of torch that the static check allows in a reward."""
    found = []
    for module, names in MODULES.items():
        if module.partition(".")[0] == "torch":
            owner: object = torch
            for part in module.split(".")[1:]:
                owner = getattr(owner, part)
            found += [getattr(owner, name, None) for name in sorted(names)]
    found += [getattr(torch.Tensor, name, None) for name in sorted(METHODS)]
    return [function for function in found if callable(function)]


def _arguments() -> list[tuple[object, ...]]:
    """Build argument tuples that together fit nearly all of those functions; new ones per call: some are modified."""
    x = torch.linspace(0.1, 1.0, 16).view(4, 4)
    i = torch.tensor([0, 1, 2, 3])
    many = torch.linspace(-1.0, 1.0, 18).view(2, 3, 3)
    return [
        *[(x,), (x, x), (x, x, x), (x, 1), (x, 0, i), (x, 1.0, 2.0), (x, (4, 4)), (x, 0, 1, 2), (x, 0, i[:, None], x)],
        *[([x, x],), ("ij,jk->ik", x, x), (i,), (4,), (x, x > 0, x), (x[0], x[0]), (many, many), (many,)],
    ]
