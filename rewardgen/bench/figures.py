"""Figures of benchmarks, as files for documents: throughput, learning curves, discrimination of rewards."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from rewardgen.errors import UsageError
from rewardgen.evaluation import LEGIBLE

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # TrueType: many journals refuse Type 3
    "svg.hashsalt": "rewardgen",  # the same numbers, the same file
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
}
_COLOURS = {"population": "#1f6f8b", "sb3-matched": "#c0562f", "sb3": "#8a8a8a"}
_UNDATED = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
_NAMES = {"population": "rewardgen", "sb3-matched": "SB3, same settings and worlds", "sb3": "SB3, its defaults"}
_BARS = {
    "physics_steps_per_s": "raw physics",
    "train_steps_per_s": "rewardgen, training",
    "envpool_steps_per_s": "SB3 on EnvPool",
    "sb3_steps_per_s": "SB3, its defaults",
}


def draw_throughput(measured: Mapping[str, Any], path: Path) -> None:
    """Draw ``bench.measure``'s result: the rates side by side, and how a population's rate grows with its members.

    Raises:
        UsageError: ``path`` cannot be written, or names a format that matplotlib does not know.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9.0, 2.8), layout="constrained")
        # Rates
        rates, growth = figure.subplots(1, 2)
        shown = [(name, label) for name, label in _BARS.items() if not math.isnan(measured[name])]
        values = [measured[name] for name, _ in shown]
        bars = rates.barh([label for _, label in shown], values, color=_COLOURS["population"])
        rates.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3)
        rates.invert_yaxis()
        rates.set_xlim(0, 1.25 * max(values))
        rates.set_xlabel("environment steps per second")
        rates.xaxis.set_major_formatter(EngFormatter())
        # Growth
        members = [int(count) for count in measured["scaling"]]
        growth.plot(members, list(measured["scaling"].values()), "o-", color=_COLOURS["population"])
        growth.set_xscale("log", base=2)
        growth.set_xticks(members, [str(count) for count in members])
        growth.set_ylim(bottom=0)
        growth.set_xlabel("rewards trained together")
        growth.set_ylabel("environment steps per second")
        growth.yaxis.set_major_formatter(EngFormatter())
        _save(figure, path)


def draw_learning(measured: Mapping[str, Any], path: Path) -> None:
    """Draw ``measure_learning``'s result: one panel per task, means over seeds with their 95 % intervals.

    Raises:
        UsageError: as ``draw_throughput``.
    """
    _panels({task: partial(_curves, task=task, by_trainer=found["points"]) for task, found in measured.items()}, path)


def draw_discrimination(measured: Mapping[str, Any], path: Path) -> None:
    """Draw ``measure_discrimination``'s result: one panel per task, the rewards' share of the variance by steps.

    Raises:
        UsageError: as ``draw_throughput``.
    """
    _panels({task: partial(_shares, task=task, rows=found["by_steps"]) for task, found in measured.items()}, path)


def _panels(draw_by_task: Mapping[str, Callable[[Axes], None]], path: Path) -> None:
    """Draw one panel per task, two in a row."""
    with matplotlib.rc_context(_STYLE):
        rows, columns = math.ceil(len(draw_by_task) / 2), min(2, len(draw_by_task))
        figure = Figure(figsize=(9.0, 2.8 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes, draw in zip(panels, draw_by_task.values(), strict=False):
            draw(axes)
        # An odd number of tasks leaves a panel over
        for axes in panels[len(draw_by_task) :]:
            axes.set_visible(False)
        _save(figure, path)


def _shares(axes: Axes, task: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the rewards' share of the variance, and how often one seed picks the best reward."""
    steps = [row["steps"] for row in rows]
    share, picked = _COLOURS["population"], _COLOURS["sb3-matched"]
    axes.plot(steps, [row["icc"] for row in rows], "o-", color=share, label="rewards' share of the variance (ICC)")
    axes.fill_between(
        steps, [row["low"] for row in rows], [row["high"] for row in rows], color=share, alpha=0.18, linewidth=0
    )
    best = [row["picks"][0]["best_elsewhere"] if row["picks"] else math.nan for row in rows]
    axes.plot(steps, best, "s--", color=picked, label="best reward picked with one seed")
    axes.axhline(LEGIBLE, color="#8a8a8a", linewidth=0.8, linestyle=":")
    axes.set_ylim(-0.25, 1.0)
    axes.set_title(task, loc="left")
    axes.set_xlabel("environment steps")
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.legend(frameon=False, fontsize=8)


def _curves(axes: Axes, task: str, by_trainer: Mapping[str, Any]) -> None:
    """Draw the learning curves of all trainers on a task."""
    for trainer, points in by_trainer.items():
        if points:
            steps = [point["steps"] for point in points]
            label = f"{_NAMES[trainer]} ({points[0]['seeds']} seeds)"
            axes.plot(steps, [point["mean"] for point in points], color=_COLOURS[trainer], label=label)
            lows, highs = [point["low"] for point in points], [point["high"] for point in points]
            axes.fill_between(steps, lows, highs, color=_COLOURS[trainer], alpha=0.18, linewidth=0)
    axes.set_title(task, loc="left")
    axes.set_xlabel("environment steps")
    axes.set_ylabel("return of the expert's reward")
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.legend(frameon=False, fontsize=8)


def _save(figure: Figure, path: Path) -> None:
    try:
        # no date: the same numbers, the same file
        figure.savefig(path, metadata=_UNDATED.get(path.suffix.lower()))
    except (OSError, ValueError) as error:
        raise UsageError(f"--plot {path}: {error}; give a file that ends in .svg, .pdf or .png") from error
