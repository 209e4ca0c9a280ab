"""The tables of a sweep: as rows for a page, as CSV for programs, as LaTeX for papers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rewardgen.sweep.analysis import Analysis, Comparison
from rewardgen.sweep.statistics import Estimate
from rewardgen.sweep.words import interval
from rewardgen.text import count, number, percent, unit_suffix

Value = str | int | float | Estimate

# Characters that LaTeX would interpret, or lacks
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "−": r"$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "→": r"$\to$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


@dataclass(frozen=True)
class Column:
    """A column. ``share``: its numbers are shares, shown in percent. ``key`` is its name in CSV."""

    key: str
    title: str
    share: bool = False
    text: bool = False


@dataclass(frozen=True)
class Table:
    """A table. ``rows`` hold one value for each column; NaN stands for a missing number, and its cell is empty."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]

    def cells(self) -> list[list[str]]:
        """Return the rows as texts."""
        return [[_text(value, column) for value, column in zip(row, self.columns, strict=True)] for row in self.rows]

    def csv(self) -> str:
        """Return the table as CSV with every digit; an interval takes two more columns."""
        # Columns with intervals get their bounds as further columns
        bounded = [any(isinstance(row[i], Estimate) for row in self.rows) for i in range(len(self.columns))]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        head = [
            [column.key, *([f"{column.key}_low", f"{column.key}_high"] if wide else [])]
            for column, wide in zip(self.columns, bounded, strict=True)
        ]
        writer.writerow([name for names in head for name in names])
        for row in self.rows:
            writer.writerow([part for value, wide in zip(row, bounded, strict=True) for part in _parts(value, wide)])
        return out.getvalue()

    def latex(self) -> str:
        """Return the table as LaTeX; it needs the package booktabs."""
        # Text to the left, numbers to the right
        align = "".join("l" if column.text else "r" for column in self.columns)
        lines = [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_escaped(self.caption)}}}",
            rf"  \label{{tab:{self.name}}}",
            rf"  \begin{{tabular}}{{{align}}}",
            r"    \toprule",
            "    " + " & ".join(_escaped(column.title) for column in self.columns) + r" \\",
            r"    \midrule",
            *("    " + " & ".join(map(_escaped, row)) + r" \\" for row in self.cells()),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def tables(analysis: Analysis) -> list[Table]:
    """Return all tables that have rows."""
    tables_ = [
        _aggregates(analysis),
        _comparisons(analysis),
        _scores(analysis),
        _by_task(analysis),
        _costs(analysis),
        _scales(analysis),
        _standings(analysis),
        _searches(analysis),
    ]
    return [table for table in tables_ if table.rows]


_ARM, _TASK = Column("arm", "arm", text=True), Column("task", "task", text=True)


def _aggregates(analysis: Analysis) -> Table:
    """Tabulate the arms over all common tasks."""
    level = f"{100 * analysis.bootstrap.confidence:g} %"
    return Table(
        "aggregates",
        f"Human-normalised scores over {count(len(analysis.common), 'task')}, {level} stratified bootstrap intervals",
        (
            _ARM,
            Column("scores", "searches"),
            Column("iqm", "interquartile mean"),
            Column("mean", "mean"),
            Column("median", "median"),
            Column("success_rate", "success rate", share=True),
        ),
        tuple((a.arm, a.scores, a.iqm, a.mean, a.median, a.success) for a in analysis.aggregates),
    )


def _comparisons(analysis: Analysis) -> Table:
    """Tabulate each arm against the one it is compared with."""
    return Table(
        "comparisons",
        f"Against {analysis.baseline}, paired by task and seed: difference in human-normalised score, and the "
        f"probability of improvement{_together(analysis)}",
        (
            _ARM,
            Column("pairs", "pairs"),
            Column("tasks", "tasks"),
            Column("difference", "difference"),
            Column("improvement", "probability of improvement", share=True),
            Column("supported", "supported by the data", text=True),
        ),
        tuple(
            (each.arm, each.pairs, each.tasks, each.difference, each.improvement, _supported(each))
            for each in analysis.comparisons
            if each.pairs
        ),
    )


def _scores(analysis: Analysis) -> Table:
    """Tabulate the fitness of each arm on each task."""
    return Table(
        "scores",
        "True fitness on fresh training seeds and fresh episodes, mean over searches",
        (
            _TASK,
            _ARM,
            Column("unit", "unit", text=True),
            Column("seeds", "seeds"),
            Column("planned", "planned"),
            Column("fitness", "fitness"),
            Column("normalised", "human-normalised"),
            Column("success_rate", "success rate", share=True),
        ),
        tuple(
            (
                cell.task,
                cell.arm,
                _unit(scale.unit),
                len(cell.scores),
                cell.planned,
                cell.fitness,
                cell.normalised_mean,
                cell.success,
            )
            for scale in analysis.scales
            for cell in analysis.cells
            if cell.task == scale.task and cell.planned
        ),
    )


def _by_task(analysis: Analysis) -> Table:
    """Tabulate the comparisons on single tasks."""
    return Table(
        "differences",
        f"Against {analysis.baseline} on each task, paired by seed: difference in fitness{_together(analysis)}",
        (
            _TASK,
            _ARM,
            Column("unit", "unit", text=True),
            Column("pairs", "pairs"),
            Column("difference", "difference"),
            Column("improvement", "probability of improvement", share=True),
            Column("supported", "supported by the data", text=True),
        ),
        tuple(
            (
                each.task or "",
                each.arm,
                _unit(each.unit),
                each.pairs,
                each.difference,
                each.improvement,
                _supported(each),
            )
            for each in analysis.by_task
            if each.pairs
        ),
    )


def _costs(analysis: Analysis) -> Table:
    """Tabulate what searches used, next to what they reached."""
    # What an arm reached stands next to what it cost
    reached = {aggregate.arm: aggregate.iqm for aggregate in analysis.aggregates}
    return Table(
        "cost",
        "What a finished search used on average, measuring what is reported included, and what all searches used. "
        "Hours are by the clock of each search, beside whatever else ran",
        (
            _ARM,
            Column("iqm", "interquartile mean"),
            Column("searches", "finished"),
            Column("steps", "steps each"),
            Column("tokens", "tokens each"),
            Column("dollars", "dollars each"),
            Column("hours", "hours each"),
            Column("total_steps", "steps in all"),
            Column("total_dollars", "dollars in all"),
            Column("total_hours", "hours in all"),
        ),
        tuple(
            (
                cost.arm,
                reached.get(cost.arm, math.nan),
                cost.searches,
                cost.steps,
                cost.tokens,
                cost.dollars,
                cost.hours,
                cost.total_steps,
                cost.total_dollars,
                cost.total_hours,
            )
            for cost in analysis.costs
        ),
    )


def _scales(analysis: Analysis) -> Table:
    """Tabulate the references of the normalised scores."""
    return Table(
        "scales",
        "What 0 and 1 of the human-normalised score stand for",
        (
            _TASK,
            Column("unit", "unit", text=True),
            Column("sparse", "sparse reward (0)"),
            Column("expert", "expert's reward (1)"),
            Column("apart", "told apart", text=True),
            Column("source", "as measured by", text=True),
        ),
        tuple(
            (
                scale.task,
                _unit(scale.unit),
                scale.sparse,
                scale.expert,
                "yes" if scale.apart else "no",
                scale.source,
            )
            for scale in analysis.scales
            if scale.known
        ),
    )


def _standings(analysis: Analysis) -> Table:
    """Tabulate the states of each arm's searches."""
    return Table(
        "searches-by-arm",
        "Searches by where they stand",
        (
            _ARM,
            Column("planned", "planned"),
            Column("scored", "with a score"),
            Column("unscored", "without a usable reward"),
            Column("failed", "failed"),
            Column("unfinished", "not finished"),
            Column("missing", "not begun"),
        ),
        tuple(
            (each.arm, each.planned, each.scored, each.unscored, each.failed, each.unfinished, each.missing)
            for each in analysis.standings
        ),
    )


def _searches(analysis: Analysis) -> Table:
    """Tabulate every search."""
    return Table(
        "searches",
        "Every search",
        (
            _ARM,
            _TASK,
            Column("seed", "seed"),
            Column("status", "status", text=True),
            Column("fitness", "fitness"),
            Column("normalised", "human-normalised"),
            Column("success_rate", "success rate", share=True),
            Column("steps", "steps"),
            Column("tokens", "tokens"),
            Column("dollars", "dollars"),
            Column("hours", "hours"),
        ),
        tuple(
            (
                result.arm,
                result.task,
                result.seed,
                result.status,
                # A search that has not begun has used nothing, which is not the same as zero
                Estimate(result.found.mean, result.found.low, result.found.high),
                analysis.scale(result.task)(result.found.mean),
                result.found.success_rate,
                result.steps if result.status != "missing" else math.nan,
                result.tokens if result.status != "missing" else math.nan,
                result.dollars if result.status != "missing" else math.nan,
                result.hours if result.status != "missing" else math.nan,
            )
            for result in analysis.sweep.results
        ),
    )


def _together(analysis: Analysis) -> str:
    """Return the confidence level of comparisons, for a caption."""
    level = f"{100 * analysis.bootstrap.confidence:g} %"
    count = len(analysis.comparisons)
    return f"; intervals at {level}" + (f" for the {count} arms together" if count > 1 else "")


def _supported(comparison: Comparison) -> str:
    """Return whether the data support a difference, and which."""
    if not comparison.supported:
        return "no"
    return "yes, better" if comparison.difference.value > 0 else "yes, worse"


def _unit(unit: str) -> str:
    """Return a unit as it stands in a cell; nothing for pure numbers."""
    return unit_suffix(unit).strip()


def _text(value: Value, column: Column) -> str:
    """Return a value as it stands in a cell."""
    if isinstance(value, str):
        return value
    if isinstance(value, Estimate):
        return interval(value, percent if column.share else number).replace("-", "−")
    if not math.isfinite(value):
        return ""
    whole = isinstance(value, int) or abs(value) >= 1000
    return (percent(value) if column.share else f"{value:,.0f}" if whole else number(value)).replace("-", "−")


def _parts(value: Value, wide: bool) -> Sequence[str | int | float]:
    """Return a value's cells in CSV: three if its column has intervals."""
    if isinstance(value, Estimate):
        return [_digits(value.value), _digits(value.low), _digits(value.high)]
    plain = _digits(value) if isinstance(value, float) else value
    return [plain, "", ""] if wide else [plain]


def _digits(value: float) -> str | float:
    """Return a number; nothing if it is missing."""
    return value if math.isfinite(value) else ""


def _escaped(text: str) -> str:
    """Return text for LaTeX."""
    return "".join(_LATEX.get(letter, letter) for letter in text)
