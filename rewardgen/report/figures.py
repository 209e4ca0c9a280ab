"""Draws the figures of a report. Each function returns None if there is nothing to draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rewardgen.quoting import one_line
from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.reflection import component_curves
from rewardgen.report.facts import LABELS, ancestry, finite, threshold, unit_of, usable
from rewardgen.report.svg import (
    EXPERT,
    INK,
    PALETTE,
    RULE,
    SOFT,
    SPARSE,
    WINNER,
    LegendKey,
    Picture,
    canvas,
    steps_axis,
    to_svg,
    variable,
)
from rewardgen.store.view import CandidateView, RunView
from rewardgen.text import number

COLOURS = {"winner": WINNER, "expert": EXPERT, "sparse": SPARSE}
_LARGEST = 1e30  # matplotlib's own arithmetic overflows beyond it

MARGIN = 0.05
"""Share of an axis that is left free at its ends."""
NARROW_GENERATIONS = 6
"""Max. number of generations whose lineage fits into a figure of normal width."""
LEAST_REWARD = 1e-3
"""Least range of a component's mean that an axis shows."""
_WIDE = 10.2  # inches: text in a wide figure is as large as in two that stand side by side

# Steps, means, lowest and highest values
Line = tuple[list[int], list[float], list[float], list[float]]


def scores(view: RunView) -> Picture | None:
    """Draw the reported scores with their intervals and the mean of each training behind them."""
    shown = [final for final in view.finals if final.name in LABELS and usable(final.evaluation)]
    shown = [final for final in shown if final.evaluation and abs(final.evaluation.mean) < _LARGEST]
    if not shown:
        return None
    with canvas(_WIDE, 0.75 + 0.42 * len(shown)) as (figure, axes):
        # One row per reward: interval, mean, trainings
        for row, final in enumerate(shown):
            evaluation, colour = final.evaluation, COLOURS[final.name]
            assert evaluation is not None  # it is usable
            axes.plot([evaluation.low, evaluation.high], [row, row], color=colour, linewidth=7, alpha=0.3)
            axes.plot([evaluation.mean], [row], "o", color=colour, markersize=7)
            means = [math.fsum(seed) / len(seed) for seed in evaluation.fitness if seed]
            means = [mean for mean in means if math.isfinite(mean)]
            axes.plot(means, [row - 0.24] * len(means), "|", color=colour, markersize=6, alpha=0.9)
        # The success threshold
        success = threshold(view)
        if success is not None:
            axes.axvline(success, color=SOFT, linewidth=1, linestyle=(0, (3, 3)))
        axes.set_yticks(range(len(shown)), [LABELS[final.name] for final in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"fitness{_bracketed(view)}")
        description = "; ".join(f"{LABELS[f.name]} {number(f.evaluation.mean)}" for f in shown if f.evaluation)
        svg = to_svg(figure, "scores", "Reported scores with intervals", description + unit_of(view))
    confidence = shown[0].evaluation.confidence if shown[0].evaluation else 0.95
    caption = (
        f"Dot: mean on fresh trainings and episodes. Bar: {100 * confidence:g} % interval. "
        "Small strokes: the mean of each training."
    )
    if success is not None:
        caption += " Dashed line: the threshold of success."
    return Picture(svg, figure, caption, wide=True)


def final_curves(view: RunView) -> Picture | None:
    """Draw fitness over the trainings behind the reported scores: the mean and the range over seeds."""
    lines = {f.name: _line(f.trainings, lambda p: p.fitness) for f in view.finals if f.name in LABELS}
    lines = {name: line for name, line in lines.items() if line[0]}
    if not lines:
        return None
    with canvas() as (figure, axes):
        for name, line in lines.items():
            _draw(axes, line, COLOURS[name])
        steps_axis(axes)
        _least_span(axes, _fitness_span(view))
        axes.set_ylabel(f"fitness{_bracketed(view)}")
        svg = to_svg(
            figure,
            "finals",
            "Fitness over the final trainings",
            "; ".join(_describe(LABELS[name], line) for name, line in lines.items()),
        )
    return Picture(
        svg,
        figure,
        "Trainings behind the reported scores. Line: mean over training seeds; shade: their range.",
        tuple(LegendKey(variable(COLOURS[name]), LABELS[name]) for name in lines),
    )


def candidate_curves(view: RunView) -> Picture | None:
    """Draw fitness over the trainings of every candidate, the winner in front."""
    lines = {c.key: _line(c.trainings, lambda p: p.fitness) for c in view.candidates.values()}
    lines = {key: line for key, line in lines.items() if line[0]}
    if not lines:
        return None
    selected = {c.key for c in view.candidates.values() if c.selected}
    with canvas() as (figure, axes):
        # Other candidates in grey, those that were carried forward dashed
        for key, line in lines.items():
            if key == view.winner:
                continue
            chosen = key in selected
            axes.plot(
                line[0],
                line[1],
                color=INK if chosen else SOFT,
                alpha=0.8 if chosen else 0.4,
                linewidth=1.2 if chosen else 0.9,
                linestyle=(0, (4, 2)) if chosen else "-",
                marker="o" if len(line[0]) == 1 else None,
            )
        if view.winner in lines:
            _draw(axes, lines[view.winner], WINNER, width=2.2)
        steps_axis(axes)
        _least_span(axes, _fitness_span(view))
        axes.set_ylabel(f"fitness{_bracketed(view)}")
        description = f"{len(lines)} candidates; " + (
            _describe("winner", lines[view.winner]) if view.winner in lines else "no winner"
        )
        svg = to_svg(figure, "candidates", "Fitness over the trainings of all candidates", description)
    legend = [LegendKey(variable(WINNER), "winner")] if view.winner in lines else []
    if selected - {view.winner}:
        legend.append(LegendKey("ink", "carried forward", dashed=True))
    early = any(candidate.stopped for candidate in view.candidates.values())
    return Picture(
        svg,
        figure,
        "Trainings that selected the winner: every candidate, averaged over its seeds."
        + (" A line that ends early was stopped by a race." if early else ""),
        (*legend, LegendKey("soft", "other candidates")),
    )


def training_curves(view: RunView, candidate: CandidateView) -> Picture | None:
    """Draw fitness over each training of one candidate; dashed: on fresh seeds."""
    # Selection seeds solid, fresh seeds dashed
    trainings = [(training, False) for training in candidate.trainings] + [(each, True) for each in candidate.again]
    lines = [(again, _line([training], lambda p: p.fitness)) for training, again in trainings]
    lines = [(again, line) for again, line in lines if line[0]]
    if not lines:
        return None
    legend = []
    with canvas() as (figure, axes):
        for index, (again, line) in enumerate(lines):
            colour = PALETTE[index % len(PALETTE)]
            _draw(axes, line, colour, dashed=again)
            place = index + 1 - (len(candidate.trainings) if again else 0)
            legend.append(LegendKey(variable(colour), f"{'fresh ' if again else ''}seed {place}", again))
        steps_axis(axes)
        _least_span(axes, _fitness_span(view))
        axes.set_ylabel(f"fitness{_bracketed(view)}")
        description = "; ".join(_describe(key.label, line) for key, (_, line) in zip(legend, lines, strict=True))
        svg = to_svg(figure, "trainings", f"Fitness over the trainings of {one_line(candidate.key, 40)}", description)
    dashed = " Dashed: trained again on fresh seeds, since it led its generation." if candidate.again else ""
    return Picture(svg, figure, f"True fitness over training, one line for each seed.{dashed}", tuple(legend))


def lineage(view: RunView) -> Picture | None:
    """Draw every candidate at its generation and score, joined to its parent."""
    # Place the candidates of a generation side by side
    columns: dict[str, float] = {}
    for place, generation in enumerate(view.generations):
        spread = 0.62 / max(1, len(generation.candidates) - 1)
        for index, candidate in enumerate(generation.candidates):
            columns[candidate.key] = place + (index - (len(generation.candidates) - 1) / 2) * spread
    known = view.candidates
    heights = {key: c.score for key, c in known.items() if c.score is not None and abs(c.score) < _LARGEST}
    if not heights:
        return None
    # Leave room at the bottom for candidates without a score
    low, high = min(heights.values()), max(heights.values())
    span = max(high - low, _fitness_span(view))
    floor = low - 0.22 * span
    wide = len(view.generations) > NARROW_GENERATIONS
    with canvas(_WIDE if wide else 5.4, 3.6) as (figure, axes):
        # Lines to parents, the winner's ancestors on top
        for key, candidate in known.items():
            if candidate.parent in heights and key in heights:
                ends = [columns[candidate.parent], columns[key]], [heights[candidate.parent], heights[key]]
                axes.plot(*ends, color=SOFT, linewidth=0.9, alpha=0.55, zorder=1)
        line = [member.key for member in ancestry(view, view.winner)]
        for parent, child in pairwise(line):
            if parent in heights and child in heights:
                ends = [columns[parent], columns[child]], [heights[parent], heights[child]]
                axes.plot(*ends, color=WINNER, linewidth=2, zorder=2)
        # Marks
        for key, candidate in known.items():
            at, height = columns[key], heights.get(key)
            if height is None:
                axes.plot([at], [floor], "x", color=SOFT, markersize=5, zorder=3)
            elif key == view.winner:
                axes.plot([at], [height], "*", color=WINNER, markersize=13, zorder=5)
            else:
                axes.plot([at], [height], "o", color=WINNER if candidate.selected else SOFT, markersize=5.5, zorder=4)
        if len(heights) < len(known):
            axes.axhline(floor + 0.11 * span, color=RULE, linewidth=1)
        top = max(high, low + span) + 0.12 * span
        axes.set_ylim(floor - 0.08 * span if len(heights) < len(known) else low - 0.1 * span, top)
        # Label the generations; many of them get fewer labels
        restarts = len({generation.restart for generation in view.generations}) > 1
        names = [f"{g.restart}.{g.index}" if restarts else str(g.index) for g in view.generations]
        every = math.ceil(len(names) / 20)
        axes.set_xticks(range(0, len(names), every), names[::every])
        axes.set_xlabel("restart.generation" if restarts else "generation")
        axes.set_ylabel(f"selection score{_bracketed(view)}")
        ticks = MaxNLocator(5).tick_values(low, max(high, low + span))
        axes.set_yticks([tick for tick in ticks if low - 0.05 * span <= tick <= top])
        axes.grid(axis="x", visible=False)
        description = (
            f"{len(known)} candidates in {len(view.generations)} generations, {len(known) - len(heights)} without score"
        )
        svg = to_svg(figure, "lineage", "Candidates by generation and score, joined to their parents", description)
    legend = [
        LegendKey("winner", "star: winner; dot: carried forward; line: the winner's ancestors"),
        LegendKey("soft", "others"),
    ]
    caption = "Each mark is a candidate at its selection score."
    if len(heights) < len(known):
        caption += " Crosses at the bottom: no score (rejected, failed or not trained yet)."
    return Picture(svg, figure, caption, tuple(legend), wide=wide)


def components(candidate: CandidateView, name: str) -> Picture | None:
    """Draw each component's mean per step over training. ``name`` makes the figure's ids unique."""
    curves = component_curves(candidate.trainings)
    lines = {
        curve.name: _line(candidate.trainings, lambda p, n=curve.name: p.components.get(n, math.nan))  # type: ignore[misc]
        for curve in curves
    }
    lines = {component: line for component, line in lines.items() if line[0]}
    if not lines:
        return None
    legend = []
    with canvas(5.4, 2.7) as (figure, axes):
        for index, (component, line) in enumerate(lines.items()):
            colour, dashed = PALETTE[index % len(PALETTE)], index >= len(PALETTE)
            _draw(axes, line, colour, dashed=dashed)
            legend.append(LegendKey(variable(colour), one_line(component, 40), dashed))
        steps_axis(axes)
        largest = max(abs(value) for line in lines.values() for value in line[1])
        _least_span(axes, max(LEAST_REWARD, 0.02 * largest))
        axes.set_ylabel("mean reward per step")
        description = "; ".join(_describe(one_line(component, 40), line) for component, line in lines.items())
        svg = to_svg(figure, name, f"Components of {one_line(candidate.key, 40)} over training", description)
    several = " Shade: range over seeds." if len(candidate.trainings) > 1 else ""
    return Picture(svg, figure, f"What each component gave per step over training.{several}", tuple(legend))


def _line(trainings: Sequence[TrainingResult], value: Callable[[Checkpoint], float]) -> Line:
    """Return steps, mean, lowest and highest of ``value`` over trainings, at checkpoints where any is finite."""
    at: dict[int, list[float]] = {}
    for training in trainings:
        for point in training.curve:
            point_value = value(point)
            if finite(point_value) and abs(point_value) < _LARGEST:
                at.setdefault(point.steps, []).append(point_value)
    steps = sorted(at)
    means = [math.fsum(at[step]) / len(at[step]) for step in steps]
    return steps, means, [min(at[step]) for step in steps], [max(at[step]) for step in steps]


def _draw(axes: Axes, line: Line, colour: str, *, width: float = 1.6, dashed: bool = False) -> None:
    """Draw a line, with the range over seeds as its shade."""
    steps, means, lows, highs = line
    if lows != highs:
        axes.fill_between(steps, lows, highs, color=colour, alpha=0.18, linewidth=0)
    style = (0, (4, 2)) if dashed else "-"
    axes.plot(steps, means, color=colour, linewidth=width, linestyle=style, marker="o")


def _least_span(axes: Axes, span: float) -> None:
    """Widen the y axis to at least ``span``, so that rounding errors are drawn as a flat line."""
    low, high = axes.get_ylim()
    if high - low >= span:
        return
    bottom = (low + high - span) / 2.0
    if bottom < 0.0 <= axes.dataLim.y0:  # nothing below zero is drawn, so nothing below zero is shown
        bottom = -MARGIN * span
    axes.set_ylim(bottom, max(bottom + span, high))


def _fitness_span(view: RunView) -> float:
    """Return the least range of fitness that an axis shows: a fifth of the success threshold."""
    level = threshold(view)
    return 0.2 * abs(level) if level else 1.0


def _describe(label: str, line: Line) -> str:
    """Return how a line runs, for people who cannot see it."""
    return f"{label} from {number(line[1][0])} to {number(line[1][-1])}"


def _bracketed(view: RunView) -> str:
    """Return the fitness unit in brackets, for the label of an axis."""
    unit = unit_of(view).strip()
    return f" ({one_line(unit, 20)})" if unit else ""
