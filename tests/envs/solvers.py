"""For each task a policy that solves it, or why there is none here.

A weights file ``policies/DOMAIN_TASK.safetensors`` is the best of a few seeds on the task's expert reward:

    rewardgen train TASK --reward expert --seeds 4 --save tests/envs/policies/DOMAIN_TASK.safetensors

Where a few lines do as well, the policy is written here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from rewardgen.tasks import Task
from rewardgen.training import Population

FOLDER = Path(__file__).parent / "policies"
Act = Callable[[Tensor], Tensor]

SCRIPTED: dict[str, Callable[[Tensor], Tensor]] = {}
"""Observations ``(n, O)`` → actions ``(n, A)``."""

NONE_HERE: dict[str, str] = {
    "ant/run": "no weights file has been made yet",
    "cheetah/run": "no weights file has been made yet",
    "hopper/run": "no weights file has been made yet",
    "reacher/reach": "no weights file has been made yet",
    "swimmer/swim": "no weights file has been made yet",
    "walker/run": "no weights file has been made yet",
}
"""Tasks that a processor does not solve in minutes, with what is known of them."""


def solver(task: Task) -> Act | None:
    """The policy that solves ``task``; None where there is none here."""
    if task.name in SCRIPTED:
        return SCRIPTED[task.name]
    path = FOLDER / (task.name.replace("/", "_") + ".safetensors")
    return Population.from_weights([path.read_bytes()], task).act if path.is_file() else None
