"""``rewardgen show``: the state of a run or sweep, from its store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardgen.cli.options import Json, RunName, RunsDir
from rewardgen.cli.output import jsonable, print_json
from rewardgen.errors import UnknownName


def show(
    run: RunName = "latest",
    candidate: Annotated[
        str | None, typer.Option("--candidate", metavar="KEY", help="Show this candidate's code and results.")
    ] = None,
    out: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Show a run: its generations, scores, best reward and cost; also while it is running.

    For a sweep, show the progress of its searches.
    """
    from rewardgen.cli.summary import show_candidate, show_run
    from rewardgen.report.choices import legibility_facts
    from rewardgen.report.result import document, result
    from rewardgen.store import find_run, find_sweep, read

    # A sweep
    if (sweep := find_sweep(run, out)) is not None:
        _show_sweep(sweep, json=json)
        return
    # A run, or one of its candidates
    view = read(find_run(run, out))
    if candidate is None:
        if json:
            panel = document(result(view))
            print_json({**jsonable(view), "result": panel, "legibility": legibility_facts(view)})
        else:
            show_run(view)
        return
    if candidate not in view.candidates:
        raise UnknownName("candidate", candidate, view.candidates, hint=f"(in {view.path})")
    chosen = view.candidates[candidate]
    print_json(chosen) if json else show_candidate(view, chosen)


def _show_sweep(folder: Path, *, json: bool) -> None:
    """Print the state of a sweep."""
    from rewardgen.cli.sweep_summary import show_sweep, sweep_document
    from rewardgen.sweep import sweep_standing

    summary, standings = sweep_standing(folder)
    print_json(sweep_document(summary, standings)) if json else show_sweep(summary, standings)
