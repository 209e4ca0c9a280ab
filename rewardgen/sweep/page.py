"""Writes a sweep's report: an HTML file, and its tables and figures as separate files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rewardgen.report.files import write_whole
from rewardgen.report.page import environment, styles
from rewardgen.report.papers import figure_files
from rewardgen.report.svg import Picture
from rewardgen.sweep.analysis import Analysis
from rewardgen.sweep.figures import figures
from rewardgen.sweep.tables import Table, tables
from rewardgen.sweep.words import caveats, verdicts


@dataclass(frozen=True)
class Written:
    """The page, and files with the same content for programs and papers."""

    report: Path
    files: tuple[Path, ...]


def write_sweep_report(analysis: Analysis, out: Path | None = None) -> Written:
    """Write the report of a sweep, also of one that is not finished.

    Args:
        out: the HTML file, by default ``report.html`` in the sweep's folder. Tables (CSV and LaTeX) and figures (SVG
            and PDF) go to the folder ``NAME.files`` beside it.

    Raises:
        DiskFull: no space left to write.
        StoreError: a file cannot be written.
    """
    out = out or analysis.sweep.folder / "report.html"
    pictures, tables_ = figures(analysis), tables(analysis)
    folder = out.with_suffix(".files")
    # Tables as CSV and LaTeX, figures as SVG and PDF
    contents: dict[str, str | bytes] = {f"{table.name}.csv": table.csv() for table in tables_}
    contents.update((f"{table.name}.tex", table.latex()) for table in tables_)
    contents.update(figure_files(pictures))
    files = [write_whole(content, folder / name) for name, content in contents.items()]
    return Written(write_whole(render(analysis, pictures, tables_, out), out), tuple(files))


def render(analysis: Analysis, pictures: Mapping[str, Picture], tables_: list[Table], out: Path) -> str:
    """Return the page as text; its links are relative to ``out``."""
    by_name = {table.name: table for table in tables_}
    sweep = analysis.sweep
    return (
        environment(Path(__file__).parent / "templates")
        .get_template("sweep.html.j2")
        .render(
            analysis=analysis,
            sweep=sweep,
            drawn=pictures,
            tables=by_name,
            verdicts=verdicts(analysis),
            caveats=caveats(analysis),
            scored=sum(result.scored for result in sweep.results),
            level=f"{100 * analysis.bootstrap.confidence:g} %",
            files=out.with_suffix(".files").name,
            links=[_link(result.path, out) for result in sweep.results],
            styles=styles(),
        )
    )


def _link(run_dir: Path, out: Path) -> str | None:
    """Return the link from the page to a search's own report, if it has one."""
    report = run_dir / "report.html"
    return Path(os.path.relpath(report, out.parent)).as_posix() if report.is_file() else None
