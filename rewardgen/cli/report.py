"""``rewardgen report``: write a run or a sweep as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardgen.cli.options import Json, RunsDir
from rewardgen.cli.output import print_json, write


def report(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run's or a sweep's folder, its name in the folder of runs, or 'latest' for a run."
        ),
    ] = "latest",
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write to this file instead.")] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="ARM", help="For a sweep: the arm to compare the others with [default: the first]."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            "--figures",
            metavar="DIR",
            help="For a run: also write its figures to this folder, as SVG and PDF files for papers.",
        ),
    ] = None,
    replays: Annotated[
        bool, typer.Option("--replays/--no-replays", help="For a run: draw missing pictures of replays.")
    ] = True,
    out: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Write a run's report: one HTML file without references to others.

    A sweep's report comes with its tables as CSV and LaTeX and its figures as SVG and PDF files.
    """
    from rewardgen.errors import UsageError
    from rewardgen.report import write_figures, write_report
    from rewardgen.store import find_run, read
    from rewardgen.sweep.plan import is_sweep

    # A sweep
    sweep = next((path for path in (Path(run), out / run) if is_sweep(path)), None)
    if sweep is not None:
        _sweep(sweep, to, against, json=json)
        return
    if against is not None:
        raise UsageError(f"--against {against}: {run} is not a sweep, so it has no arms to compare")
    # A run
    path = find_run(run, out)
    view = read(path)
    written = write_report(view, to or path / "report.html", draw=replays, film=replays)
    drawn = write_figures(view, figures) if figures is not None else ()
    if json:
        print_json({"run": path, "report": written, "figures": drawn})
    else:
        for file in (written, *drawn):
            write(str(file))


def _sweep(folder: Path, to: Path | None, against: str | None, *, json: bool) -> None:
    """Analyse a sweep, write its report, and print its verdicts."""
    from rewardgen.sweep.analysis import analyse
    from rewardgen.sweep.page import write_sweep_report
    from rewardgen.sweep.results import load
    from rewardgen.sweep.words import caveats, verdicts

    # Analyse and write, then print the conclusions
    analysis = analyse(load(folder), baseline=against)
    written = write_sweep_report(analysis, to)
    if json:
        print_json(
            {
                "sweep": folder,
                "report": written.report,
                "files": written.files,
                "verdicts": verdicts(analysis),
                "caveats": caveats(analysis),
                "analysis": analysis,
            }
        )
        return
    for sentence in (*verdicts(analysis), *caveats(analysis)):
        write(sentence)
    write(str(written.report))
