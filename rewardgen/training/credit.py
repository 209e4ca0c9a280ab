"""Rewards that take more than a program: what it returns is turned into a reward here, with a memory of its own.

A program in the sandbox is a pure function and stays one. Where a method's programs return measures of progress or
factors, each member of a training has a ``Credit`` beside it: it sees what the program returned for every rollout and
says what is paid. Its state begins with the training, belongs to one member, and never reaches the sandbox.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from rewardgen.config import CreditConfig
from rewardgen.errors import RewardFailed
from rewardgen.records import Form, Labels, State
from rewardgen.saved import Saved
from rewardgen.tasks import Task


@dataclass(frozen=True)
class Rows:
    """One member's rollout of ``T`` control steps in ``W`` worlds, with the processor.

    ``components`` ``(T, W, C)`` is what the program returned under ``names``; ``states`` and ``next_states``
    ``(T, W, width)``, the latter before any reset; ``actions`` ``(T, W, A)``; ``terminated`` and ``ended`` ``(T, W)``.
    """

    components: Tensor
    names: tuple[str, ...]
    states: Tensor
    actions: Tensor
    next_states: Tensor
    terminated: Tensor
    ended: Tensor


class Credit(Protocol):
    """Turns what a member's program returns into what the member is paid."""

    def pay(self, rows: Rows) -> Tensor:
        """Take in a rollout and give its rewards ``(T, W)``.

        Raises:
            RewardFailed: what the program returned cannot be used.
        """

    def value(self, labels: Labels, states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
        """What would be paid now for ``B`` transitions, ``(B,)``; changes nothing."""

    def save(self) -> Saved:
        """Everything that its further payments depend on."""

    def restore(self, saved: Saved) -> None:
        """Continue from what ``save`` gave.

        Raises:
            ValueError: ``saved`` does not fit.
        """


MakeCredit = Callable[[Task, int, int], Credit]
"""``make(task, seed, worlds)``: the credit of a training that begins."""


def credit_of(form: Form, config: CreditConfig) -> MakeCredit | None:
    """What the programs of a form need beside them; None for rewards, which are paid as they are."""
    if form == "reward":
        return None
    if form == "progress":
        from rewardgen.training.progress import CountBonus

        return partial(CountBonus, config)
    from rewardgen.training.factors import Factors

    return partial(Factors, config)


def checked(components: Tensor, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Refuse components that are none, not finite, or others than before (``known``, empty at first).

    Raises:
        RewardFailed: they are.
    """
    if not names:
        raise RewardFailed("output", "the program returned no components, and they are what this method works with")
    if known and names != known:
        raise RewardFailed("output", "the reward's components have other names from one call to the next")
    if not torch.isfinite(components).all():
        raise RewardFailed("output", "a component is NaN or infinite for some transitions")


def sparse(task: Task, states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
    """The task's own sparse reward for ``B`` transitions, ``(B,)``."""
    paid, _ = task.sparse_reward(State(task.layout, states), actions, State(task.layout, next_states))
    return paid.float()
