"""Present to templates what a prompt may show of a task, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rewardgen.prompting.sizes import sizes
from rewardgen.records import Field, State
from rewardgen.tasks import Task


@dataclass(frozen=True)
class TaskView:
    """The variables that templates see as ``task``.

    ``typed`` is the state and action as Python text (see ``typed_view``). ``action_names`` names what each column of
    the action drives. ``control_step`` and ``seconds`` (of an episode) are in s, ``horizon`` in control steps.
    ``sizes`` describes the ranges of the fields at the start of training. ``causes`` names the terminations; empty if
    only the time limit ends an episode.
    """

    name: str
    description: str
    typed: str
    fields: tuple[Field, ...]
    action_size: int
    action_names: tuple[str, ...]
    control_step: float
    horizon: int
    seconds: float
    causes: tuple[str, ...]
    sizes: tuple[str, ...]
    fitness_unit: str


def task_view(task: Task) -> TaskView:
    """Collect what a prompt may show of ``task``. Compiles the model if needed and simulates it briefly.

    Raises:
        SimulationFailed: the task cannot be simulated.
    """
    # A state of zeros: only the names of the causes are needed
    probe = State(task.layout, torch.zeros(1, task.layout.width))
    return TaskView(
        name=task.name,
        description=" ".join(task.description.split()),
        typed=typed_view(task),
        fields=task.layout.shown.fields,
        action_size=task.action_size,
        action_names=task.action_names,
        control_step=short(task.control_step),
        horizon=task.horizon,
        seconds=short(task.horizon * task.control_step),
        causes=tuple(task.terminations(probe)),
        sizes=sizes(task),
        fitness_unit=task.fitness_unit,
    )


def typed_view(task: Task) -> str:
    """Render the state and the action as Python text, one line per field.

    Each field reads ``    NAME: Tensor  # SHAPE UNIT: MEANING`` and the action
    ``action: Tensor  # (n, A) each in [LOW, HIGH]``, or, where bounds differ,
    ``action: Tensor  # (n, A) in [LOW, HIGH], [LOW, HIGH], …``, one pair for each column, and of discrete actions
    ``action: Tensor  # (n, A) one-hot: …``.
    """
    lines = ["class State:"]
    for item in task.layout.shown.fields:
        shape = ", ".join(["n", *map(str, item.shape)]) + ("," if item.shape == () else "")
        lines.append(f"    {item.name}: Tensor  # ({shape}) {item.unit}: {' '.join(item.meaning.split())}")
    # One pair of bounds if all columns share it
    bounds = [
        f"[{short(low)}, {short(high)}]"
        for low, high in zip(task.action_low.tolist(), task.action_high.tolist(), strict=True)
    ]
    # One-hot columns have no bounds worth showing
    if task.action_choices:
        said = "one-hot: 1 in the column of the option taken, 0 in the others"
        return "\n".join([*lines, "", f"action: Tensor  # (n, {task.action_size}) {said}"])
    said = f"each in {bounds[0]}" if len(set(bounds)) == 1 else "in " + ", ".join(bounds)
    return "\n".join([*lines, "", f"action: Tensor  # (n, {task.action_size}) {said}"])


def short(value: float) -> float:
    """Round ``value`` to six significant digits, which removes float32 rounding errors."""
    return float(f"{value:.6g}")
