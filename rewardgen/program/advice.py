"""What a program may not use, and what to write instead."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable

from rewardgen.program.allowlist import MODULES, RANDOM

# Syntax that is not available, with what to write instead
REFUSED_SYNTAX: dict[type[ast.AST], str] = {
    ast.While: "while loops are not available: use tensor operations, or a for loop over range(...)",
    ast.Try: "try/except is not available: guard with torch.where, clamp or nan_to_num",
    ast.ClassDef: "classes are not available: write plain functions",
    ast.Global: "a reward keeps nothing between calls: pass values as arguments instead of using global",
    ast.Nonlocal: "a reward keeps nothing between calls: return values instead of using nonlocal",
    ast.AsyncFunctionDef: "async functions are not available: write a plain def",
    ast.Await: "await is not available: write plain code",
    ast.Yield: "yield is not available: return the values",
    ast.YieldFrom: "yield is not available: return the values",
    ast.Delete: "del is not available and not needed: remove it",
    ast.Raise: "raise is not available: give a finite reward for every state",
    ast.Match: "match is not available: use if/elif or torch.where",
}

# Names and methods that models often use, with what to write instead
NAME_ADVICE = {
    "print": "print is not available: remove it",
    "self": "there is no self: compute_reward is a plain function; use its arguments and module constants",
    "np": "numpy is not available: use torch",
    "numpy": "numpy is not available: use torch",
    "F": "F is not defined: add 'import torch.nn.functional as F' at the top",
    "nn": "nn is not defined: write torch.nn.functional",
    "env": "there is no env: a reward sees state, action and next_state only",
}

METHOD_ADVICE = {
    "numpy": "numpy is not available: stay with torch",
    "cuda": ".cuda() is not available: the tensors are where they belong",
    "backward": ".backward() is not available: a reward needs no gradients",
    "data": ".data is not available: use the tensor itself",
    "format": '.format() is not available: use an f-string, such as f"joint_{i}"',
}


def refused_module(module: str) -> str:
    """Return what to use instead of a module."""
    if module.partition(".")[0] == "numpy":
        return "numpy is not available: use torch (torch.exp, torch.linalg.vector_norm, ...)"
    return f"{module} cannot be imported: rewards use torch, math and the shaping functions"


def no_member(module: str, name: str) -> str:
    """Return what to use instead of a member of a module."""
    if name in RANDOM:
        return f"{module}.{name} draws random numbers: a reward must be deterministic"
    if name.endswith("_") and name.rstrip("_") in MODULES.get(module, ()):
        return f"{module}.{name} writes in place: use {module}.{name.rstrip('_')}"
    return f"{module}.{name} is not available" + near(name, MODULES.get(module, frozenset()))


def near(name: str, known: Iterable[str]) -> str:
    """Return similar names as a question; "" if there are none."""
    similar = difflib.get_close_matches(name[:64], sorted(known), 2, 0.7)
    return f"; did you mean {' or '.join(similar)}?" if similar else ""
