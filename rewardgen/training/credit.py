"""Credit: stateful conversion of a program's components into training rewards.

A program in the sandbox is a pure function. If a method's programs return progress measures or factors instead of
rewards, each member has a ``Credit``, which receives the program's output for every rollout and computes the rewards
that PPO trains on. Its state belongs to one member's training and never enters the sandbox.
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
    """One member's rollout of ``T`` control steps in ``W`` worlds, on the CPU.

    ``components`` ``(T, W, C)`` are the program's components called ``names``; ``states`` and ``next_states`` are
    ``(T, W, width)``, the latter before any reset; ``actions`` ``(T, W, A)`` in actuator units; ``terminated`` and
    ``ended`` ``(T, W)`` bools.
    """

    components: Tensor
    names: tuple[str, ...]
    states: Tensor
    actions: Tensor
    next_states: Tensor
    terminated: Tensor
    ended: Tensor


class Credit(Protocol):
    """Converts the components that a member's program returns into the member's training rewards."""

    def pay(self, rows: Rows) -> Tensor:
        """Update the state with a rollout and return its rewards ``(T, W)``.

        Raises:
            RewardFailed: the program's components cannot be used.
        """

    def value(self, labels: Labels, states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
        """Return the rewards ``(B,)`` of ``B`` transitions under the present state, without changing it."""

    def save(self) -> Saved:
        """Return the state that further rewards depend on."""

    def restore(self, saved: Saved) -> None:
        """Load what ``save`` returned.

        Raises:
            ValueError: ``saved`` does not fit.
        """


MakeCredit = Callable[[Task, int, int], Credit]
"""``make(task, seed, worlds)`` returns the credit of a new training."""


def credit_of(form: Form, config: CreditConfig) -> MakeCredit | None:
    """Return the credit for programs of ``form``; None for "reward", whose totals are trained on as they are."""
    if form == "reward":
        return None
    if form == "progress":
        from rewardgen.training.progress import CountBonus

        return partial(CountBonus, config)
    from rewardgen.training.factors import Factors

    return partial(Factors, config)


def checked(components: Tensor, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Check a program's components.

    Args:
        known: names of the components of earlier calls; empty before the first.

    Raises:
        RewardFailed: there are none, their names have changed, or one is not finite.
    """
    if not names:
        raise RewardFailed("output", "the program returned no components, and they are what this method works with")
    if known and names != known:
        raise RewardFailed("output", "the reward's components have other names from one call to the next")
    if not torch.isfinite(components).all():
        raise RewardFailed("output", "a component is NaN or infinite for some transitions")


def sparse(task: Task, states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
    """Return the task's sparse reward ``(B,)`` of ``B`` transitions."""
    paid, _ = task.sparse_reward(State(task.layout, states), actions, State(task.layout, next_states))
    return paid.float()
