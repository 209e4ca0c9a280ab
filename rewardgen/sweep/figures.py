"""Draws the figures of a sweep. Each function returns None if there is nothing to draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, PercentFormatter

from rewardgen.quoting import one_line
from rewardgen.report.svg import INK, PALETTE, SOFT, Picture, canvas, to_svg
from rewardgen.sweep.analysis import Aggregate, Analysis, Cell
from rewardgen.sweep.statistics import Estimate
from rewardgen.sweep.words import SCORE, interval
from rewardgen.text import number, unit_suffix

_WIDE = 10.2  # inches
_ROW = 0.3  # inches per arm
_PANELS = 3  # tasks in a row
_DASHES: tuple[object, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 1.5, 1, 1.5)))
_COST_AXES = {"steps": "environment steps", "dollars": "dollars", "hours": "hours of training"}


def figures(analysis: Analysis) -> dict[str, Picture]:
    """Draw all figures; return them by name, without those that have nothing to show."""
    pictures = {
        "aggregates": aggregates(analysis),
        "comparisons": comparisons(analysis),
        "profiles": profiles(analysis),
        "benefit": benefit(analysis),
        "tasks": tasks(analysis),
    }
    return {name: picture for name, picture in pictures.items() if picture is not None}


def aggregates(analysis: Analysis) -> Picture | None:
    """Draw interquartile mean, mean, median and success rate of every arm, with intervals."""
    shown = analysis.aggregates
    if not shown:
        return None
    panels: list[tuple[str, Callable[[Aggregate], Estimate]]] = [
        ("interquartile mean", lambda each: each.iqm),
        ("mean", lambda each: each.mean),
        ("median", lambda each: each.median),
        ("success rate", lambda each: each.success),
    ]
    # One panel per statistic, one row per arm
    with _panels(len(panels), 0.75 + _ROW * len(shown)) as (figure, axes):
        for axis, (title, value) in zip(axes, panels, strict=True):
            _rows(axis, [(each.arm, value(each), _style(analysis, each.arm)[0]) for each in shown])
            axis.set_xlabel(title)
        axes[-1].xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        _names(axes[0], [each.arm for each in shown])
        description = "; ".join(f"{each.arm} {interval(each.iqm)}" for each in shown)
        svg = to_svg(figure, "aggregates", f"Aggregates of the {SCORE} by arm", f"interquartile means: {description}")
    return Picture(
        svg, figure, f"Over {_over(analysis)}. Bar: {_level(analysis)} stratified bootstrap interval.", wide=True
    )


def comparisons(analysis: Analysis) -> Picture | None:
    """Draw the paired differences to the arm that is compared with, and probabilities of improvement."""
    shown = [each for each in analysis.comparisons if each.pairs]
    if not shown:
        return None
    # Differences around 0 and probabilities around a half
    with _panels(2, 0.75 + _ROW * len(shown)) as (figure, axes):
        for axis, value, neutral in (
            (axes[0], lambda each: each.difference, 0.0),
            (axes[1], lambda each: each.improvement, 0.5),
        ):
            _rows(axis, [(each.arm, value(each), _style(analysis, each.arm)[0]) for each in shown])
            axis.axvline(neutral, color=INK, linewidth=1)
        axes[0].set_xlabel(f"difference in {SCORE}")
        axes[1].set_xlabel(f"probability of improvement over {one_line(analysis.baseline, 40)}")
        axes[1].set_xlim(-0.03, 1.03)
        axes[1].xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        _names(axes[0], [each.arm for each in shown])
        description = "; ".join(f"{each.arm} {interval(each.difference)}" for each in shown)
        svg = to_svg(figure, "comparisons", f"Differences to {one_line(analysis.baseline, 40)}", description)
    return Picture(
        svg,
        figure,
        f"Against {analysis.baseline}, paired by task and seed. Bar: {_level(analysis)} interval"
        + (", for all comparisons together" if len(analysis.comparisons) > 1 else "")
        + "; one that crosses the line supports no difference.",
        wide=True,
    )


def profiles(analysis: Analysis) -> Picture | None:
    """Draw the share of searches above every threshold."""
    if not analysis.profiles:
        return None
    with canvas(_WIDE, 3.6) as (figure, axes):
        # One line per arm, shaded within its bounds
        for each in analysis.profiles:
            colour, dash = _style(analysis, each.arm)
            axes.step(each.thresholds, each.shares, color=colour, linestyle=dash, where="post", label=_short(each.arm))
            if math.isfinite(each.low[0]):
                axes.fill_between(
                    each.thresholds, each.low, each.high, color=colour, alpha=0.14, linewidth=0, step="post"
                )
        # The references
        for reference in (0.0, 1.0):
            axes.axvline(reference, color=SOFT, linewidth=1, linestyle=(0, (3, 3)))
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel(f"{SCORE} τ")
        axes.set_ylabel("share of searches above τ")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        _legend(figure, axes)
        description = f"{len(analysis.profiles)} arms; the share of searches above thresholds of the {SCORE}"
        svg = to_svg(figure, "profiles", "Performance profiles", description)
    caption = f"Over {_over(analysis)}. Shade: pointwise {_level(analysis)} stratified bootstrap interval."
    return Picture(svg, figure, caption + " Dashed: the sparse reward (0) and the expert's (1).", wide=True)


def benefit(analysis: Analysis) -> Picture | None:
    """Draw the best score so far by steps, by dollars and by hours."""
    kinds = [by for by in _COST_AXES if any(each.by == by for each in analysis.benefits)]
    if not kinds:
        return None
    with _panels(len(kinds), 3.4) as (figure, axes):
        # One panel per kind of cost, one line per arm
        for axis, by in zip(axes, kinds, strict=True):
            for each in (e for e in analysis.benefits if e.by == by):
                colour, dash = _style(analysis, each.arm)
                mark = "o" if len(each.costs) == 1 else None
                style: dict[str, Any] = {"color": colour, "linestyle": dash, "marker": mark}
                axis.step(each.costs, each.scores, where="post", label=_short(each.arm), **style)
                # A single point has no area to shade
                if math.isfinite(each.low[0]) and len(each.costs) == 1:
                    axis.vlines(each.costs, each.low, each.high, color=colour, alpha=0.3, linewidth=6)
                elif math.isfinite(each.low[0]):
                    shade: dict[str, Any] = {"color": colour, "alpha": 0.14, "linewidth": 0, "step": "post"}
                    axis.fill_between(each.costs, each.low, each.high, **shade)
            axis.set_xlabel(_COST_AXES[by])
            if by == "steps":
                axis.xaxis.set_major_formatter(EngFormatter(sep=""))
            axis.xaxis.set_major_locator(MaxNLocator(5))
        axes[0].set_ylabel(f"best {SCORE} so far")
        _legend(figure, axes[0])
        description = "; ".join(
            f"{e.arm} reaches {number(e.scores[-1])}" for e in analysis.benefits if e.by == kinds[0]
        )
        svg = to_svg(figure, "benefit", "Score by what it cost", description)
    return Picture(
        svg,
        figure,
        f"Interquartile mean over {_over(analysis)} of each search's best candidate so far, by what the search alone "
        f"had used until then. Shade: pointwise {_level(analysis)} stratified bootstrap interval. These are the scores "
        "that select: the best of noisy scores is partly lucky, so they lie above those that are reported. An arm that "
        "used none of something has no line there.",
        wide=True,
    )


def tasks(analysis: Analysis) -> Picture | None:
    """Draw fitness on every task: the mean over searches with its interval, and each search."""
    shown = [scale for scale in analysis.scales if any(c.scores for c in analysis.cells if c.task == scale.task)]
    if not shown:
        return None
    arms = analysis.sweep.arms
    columns = min(_PANELS, len(shown))
    height = (0.95 + 0.26 * len(arms)) * math.ceil(len(shown) / columns)
    with _panels(len(shown), height, columns=columns) as (figure, axes):
        # One panel per task: intervals, single searches, and the references
        for index, (axis, scale) in enumerate(zip(axes, shown, strict=True)):
            cells = [analysis.cell(arm, scale.task) for arm in arms]
            _rows(axis, [(cell.arm, cell.fitness, _style(analysis, cell.arm)[0]) for cell in cells])
            for row, cell in enumerate(cells):
                _strokes(axis, row, cell, _style(analysis, cell.arm)[0])
            for reference, dash in ((scale.sparse, (0, (1, 2))), (scale.expert, (0, (4, 2)))):
                if math.isfinite(reference):
                    axis.axvline(reference, color=SOFT, linewidth=1, linestyle=dash)
            unit = unit_suffix(one_line(scale.unit, 20)).strip()
            axis.set_xlabel(f"{one_line(scale.task, 40)}: fitness" + (f" ({unit})" if unit else ""))
            if index % columns == 0:
                _names(axis, arms)
        description = "; ".join(
            f"{cell.arm} on {cell.task} {number(cell.fitness.value)}" for cell in analysis.cells if cell.scores
        )
        svg = to_svg(figure, "tasks", "Fitness on every task", description)
    return Picture(
        svg,
        figure,
        f"Dot: mean over searches. Bar: {_level(analysis)} interval, where there is more than one. Small strokes: each "
        "search. Dotted: the sparse reward. Dashed: the expert's. An arm without a mark has no score there yet.",
        wide=True,
    )


@contextmanager
def _panels(count: int, height: float, *, columns: int = 0) -> Iterator[tuple[Figure, Sequence[Axes]]]:
    """Yield a figure with ``count`` panels, in rows of ``columns``."""
    columns = columns or count
    with canvas(_WIDE, height) as (figure, first):
        # Replace the single axes of a canvas by a grid
        first.remove()
        grid = figure.subplots(math.ceil(count / columns), columns, squeeze=False)
        places = list(grid.flat)
        for panel in places[count:]:
            panel.remove()
        for panel in places[:count]:
            panel.patch.set_visible(False)
        yield figure, places[:count]


def _rows(axes: Axes, rows: Sequence[tuple[str, Estimate, str]]) -> None:
    """Draw one row per arm: a dot at the value, a bar for the interval; nothing if there is no value."""
    for row, (_, found, colour) in enumerate(rows):
        if found.bounded:
            axes.plot([found.low, found.high], [row, row], color=colour, linewidth=6, alpha=0.3, solid_capstyle="butt")
        if math.isfinite(found.value):
            axes.plot([found.value], [row], "o", color=colour, markersize=6)
    # Rows from top to bottom, without an axis
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [""] * len(rows))
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "−")))


def _strokes(axes: Axes, row: int, cell: Cell, colour: str) -> None:
    """Draw each search as a small stroke."""
    axes.plot(cell.scores, [row + 0.3] * len(cell.scores), "|", color=colour, markersize=5, alpha=0.9)


def _names(axes: Axes, arms: Sequence[str]) -> None:
    """Name the rows."""
    axes.set_yticks(range(len(arms)), [_short(arm) for arm in arms])


def _short(arm: str) -> str:
    """Return an arm's name, shortened."""
    return one_line(arm, 40)


def _legend(figure: Figure, axes: Axes) -> None:
    """Draw the legend within the figure, so that it is part of the file."""
    # All panels have the same arms
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)


def _style(analysis: Analysis, arm: str) -> tuple[str, object]:
    """Return the colour and dash of an arm, the same in every figure."""
    index = analysis.sweep.arms.index(arm)
    return PALETTE[index % len(PALETTE)], _DASHES[index // len(PALETTE) % len(_DASHES)]


def _level(analysis: Analysis) -> str:
    """Return the confidence level as text."""
    return f"{100 * analysis.bootstrap.confidence:g} %"


def _over(analysis: Analysis) -> str:
    """Return how many searches and tasks aggregates are over."""
    tasks = len(analysis.common)
    scores = sum(each.scores for each in analysis.aggregates)
    return f"{scores} searches on {tasks} {'task' if tasks == 1 else 'tasks'}"
