"""Measure the ranges of a task's fields under random actions, so that authors need not guess scales.

Only the simulation is used, neither the task's rewards nor its fitness.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from rewardgen.records import Field
from rewardgen.sim import make_simulator
from rewardgen.tasks import Task, Worlds

WORLDS = 32
SECONDS = 1.0
STEPS = (20, 120)
"""Random actions are taken for ``SECONDS`` s, within these limits in control steps."""
SPREAD = (0.05, 0.95)
"""Quantiles that bound the usual range."""
ONE_BY_ONE = 4
"""Fields with up to this many columns are described by column; wider ones as a whole."""

_known: WeakKeyDictionary[Task, tuple[str, ...]] = WeakKeyDictionary()


def sizes(task: Task) -> tuple[str, ...]:
    """Describe each field in one line: its start and its usual range under random actions.

    "torso_height: starts at 1.25; under random actions 0.71 to 1.26". Measured once per task object, with
    fixed seeds, so that the text is always the same.

    Raises:
        SimulationFailed: the task cannot be simulated.
    """
    if task not in _known:
        start, met = _simulate(task)
        columns = task.layout.columns
        _known[task] = tuple(_line(field, columns[field.name], start, met) for field in task.layout.shown.fields)
    return _known[task]


def _simulate(task: Task) -> tuple[Tensor, Tensor]:
    """Return states at the start of ``WORLDS`` episodes and those reached by random actions, each ``(·, width)``."""
    worlds = Worlds(task, make_simulator(task.model, WORLDS, threads=1), torch.arange(WORLDS))
    start = worlds.start().clone()
    # A generator of its own: prompts must not depend on what else was drawn
    generator = torch.Generator().manual_seed(0)
    low, high = task.action_low, task.action_high
    met = []
    for _ in range(min(max(round(SECONDS / task.control_step), STEPS[0]), STEPS[1])):
        action = low + (high - low) * torch.rand(WORLDS, task.action_size, generator=generator)
        met.append(worlds.step(action).next_matrix)
    return start, torch.cat(met)


def _line(field: Field, columns: slice, start: Tensor, met: Tensor) -> str:
    quantiles = torch.tensor(SPREAD)
    begin, usual = start[:, columns].quantile(quantiles, dim=0), met[:, columns].quantile(quantiles, dim=0)
    apart = field.size > ONE_BY_ONE
    # One range over all columns
    if apart:
        begin, usual = (torch.stack([low.min(), high.max()])[:, None] for low, high in (begin, usual))
    grain = float((usual[1] - usual[0]).max().clamp(min=1e-6)) / 50  # smaller values are shown as 0
    (first, last), (low, high) = ([_told(row, grain) for row in rows] for rows in (begin, usual))
    starts = f"at {first}" if first == last else f"in {first} to {last}"
    return f"{field.name}: {'its columns start' if apart else 'starts'} {starts}; under random actions {low} to {high}"


def _told(values: Tensor, grain: float) -> str:
    shown = []
    for value in values.tolist():
        kept = 0.0 if abs(value) < grain else value
        shown.append(f"{kept:.0f}" if abs(kept) >= 100 else f"{kept:.3g}" if abs(kept) >= 1 else f"{kept:.2g}")
    return shown[0] if len(shown) == 1 else f"({', '.join(shown)})"
