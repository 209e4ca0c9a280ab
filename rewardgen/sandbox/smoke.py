"""Run the smoke test: call a program on real transitions before any training is spent on it."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from rewardgen.errors import RewardFailed
from rewardgen.records import Form, Labels, Layout, Problem
from rewardgen.sandbox.worker import Worker

LARGEST = 1e6  # the largest absolute reward: beyond it, no other term has an effect


def smoke_test(
    worker: Worker,
    layout: Layout,
    states: Tensor,
    actions: Tensor,
    next_states: Tensor,
    *,
    call_seconds: float,
    form: Form = "reward",
) -> list[Problem]:
    """Call a program on ``n`` transitions and return the problems found; empty if there are none.

    It must return one finite float per row that varies between rows, depends on its own row only and is the same in
    every call; it must not write to its inputs, and take at most ``call_seconds`` per call. If ``form`` is not
    "reward", the components must vary instead of the total, which is unused. ``worker``'s capacity must be at least
    ``n``, and ``n`` at least 8. If the program fails, its worker is unusable afterwards.

    Raises:
        ValueError: fewer than 8 transitions, or states that do not fit ``layout``.
        SandboxError: the sandbox itself failed.
    """
    n = int(states.shape[0])
    if n < 8:
        raise ValueError(f"a smoke test needs at least 8 transitions, not {n}")
    if states.shape[1] != layout.width:
        raise ValueError(f"the states have {states.shape[1]} columns, the layout {layout.width}")
    problems: list[Problem] = []

    def call(rows: Tensor) -> Labels:
        worker.submit(states[rows], actions[rows], next_states[rows])
        return worker.result()

    everything = torch.arange(n)
    try:
        # Time the second call: the first includes starting the worker and compiling the program
        first = call(everything)
        changed = worker.inputs_changed
        started = time.monotonic()
        second = call(everything)
        seconds = time.monotonic() - started
    except RewardFailed as failure:
        return [Problem("smoke", str(failure), failure.line)]

    if changed:
        problems.append(_problem("it writes to its inputs: work on a .clone(), or use torch.where for x[mask] = value"))
    deterministic = _same(first, second, first)
    if not deterministic:
        told = "two calls on the same transitions differ: use no random numbers and keep nothing between calls"
        problems.append(_problem(told))
    if seconds > call_seconds:
        problems.append(
            _problem(
                f"a call on {n} transitions takes {seconds:.2g} s, at most {call_seconds:.2g} s: replace loops over "
                "rows by tensor operations"
            )
        )
    problems += _values(first) if form == "reward" else _components(first)
    if deterministic:
        # A program that differs between two equal calls would be blamed for mixing rows, too
        mixed = _mixed(call, first, n)
        problems += [mixed] if mixed is not None else []
    return problems


def unexplained(worker: Worker, states: Tensor, actions: Tensor, next_states: Tensor) -> str:
    """Describe where the components of a program do not add up to its total; empty if they do.

    Raises:
        RewardFailed: the program failed.
    """
    worker.submit(states, actions, next_states)
    labels = worker.result()
    if not labels.names:
        return ""
    apart = (labels.reward - labels.components.sum(-1)).abs()
    size = max(float(labels.reward.abs().max()), float(labels.components.abs().max()))
    # Tolerance for the rounding of float32 sums
    wrong = apart > 1e-4 * size + 1e-6
    if not wrong.any():
        return ""
    return (
        f"the components do not add up to the total: the two differ in {int(wrong.sum())} of {len(apart)} transitions, "
        f"by up to {float(apart.max()):.3g}. Return each term as it enters the total, with its weight; a component "
        "that shares the total's memory changes when the total is written to in place, so .clone() it"
    )


def _values(labels: Labels) -> list[Problem]:
    n = len(labels.reward)
    largest = float(labels.reward.abs().max())
    if largest > LARGEST:
        told = f"the reward reaches {largest:.2g} in size: keep it below {LARGEST:.0g}, best within -10 to 10 per step"
        return [_problem(told)]
    # Constant up to rounding: nothing to learn from
    if float(labels.reward.max() - labels.reward.min()) <= 1e-6 * max(largest, 1e-3):
        value = float(labels.reward[0])
        return [
            _problem(
                f"the reward is {value:.3g} in all of {n} different transitions: it must vary with the state, so widen "
                "margins or use smooth terms"
            )
        ]
    return []


def _components(labels: Labels) -> list[Problem]:
    if not labels.names:
        return [_problem("it returns no components, and they are what is used here: name each in the dict")]
    largest = labels.components.abs().amax(dim=0)
    huge = [name for name, size in zip(labels.names, largest.tolist(), strict=True) if size > LARGEST]
    if huge:
        return [_problem(f"beyond {LARGEST:.0g} in size: {', '.join(huge)}; bring each to a size of about one")]
    low, high = labels.components.aminmax(dim=0)
    if bool((high - low <= 1e-6 * largest.clamp(min=1e-3)).all()):
        n = len(labels.components)
        return [
            _problem(
                f"every component is the same in all of {n} different transitions: at least one must vary with the "
                "state, so widen margins or use smooth terms"
            )
        ]
    return []


def _mixed(call: Callable[[Tensor], Labels], whole: Labels, n: int) -> Problem | None:
    """Find a dependence on other rows: call in another order and in smaller batches and compare."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    told = (
        "each row's reward must depend on that row alone: use no means, maxima, norms or sorting over the batch "
        "(dimension 0), give dim=-1"
    )
    # Reordered, in part, and a single row: each reveals other uses of the batch dimension
    for rows, what in ((order, "in another order"), (order[: n // 3], "in a smaller batch"), (order[:1], "alone")):
        try:
            part = call(rows)
        except RewardFailed as failure:
            return Problem("smoke", f"it fails on transitions {what} ({failure}); {told}", failure.line)
        expected = Labels(whole.reward[rows], whole.components[rows], whole.names)
        if not _same(part, expected, whole):
            return _problem(f"the same transitions {what} get other rewards or components; {told}")
    return None


def _same(a: Labels, b: Labels, scale: Labels) -> bool:
    """Return whether two labels agree up to rounding, which may depend on a row's position in the batch.

    The tolerance is relative to the largest value of ``scale``, per component.
    """
    reward = 1e-5 * float(scale.reward.abs().max()) + 1e-7
    components = 1e-5 * scale.components.abs().amax(dim=0) + 1e-7
    near = (a.reward - b.reward).abs() <= reward
    return bool(near.all() and ((a.components - b.components).abs() <= components).all())


def _problem(message: str) -> Problem:
    return Problem("smoke", message)
