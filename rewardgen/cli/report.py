"""``rewardgen report``: a run as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardgen.cli.options import Json, RunName, RunsDir
from rewardgen.cli.output import print_json, write


def report(
    run: RunName = "latest",
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write it there instead.")] = None,
    out: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Write a run's report: one HTML file that needs nothing else."""
    from rewardgen.report import write_report
    from rewardgen.store import find_run, read

    path = find_run(run, out)
    written = write_report(read(path), to or path / "report.html")
    if json:
        print_json({"run": path, "report": written})
    else:
        write(str(written))
