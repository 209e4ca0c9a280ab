"""``rewardgen show``: where a run stands, from its store."""

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
        str | None, typer.Option("--candidate", metavar="KEY", help="Show this candidate's code and how it fared.")
    ] = None,
    out: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Show a run: its generations, its scores, its best reward and what it cost. Also while it is running.

    Of a sweep, show how far its searches are.
    """
    from rewardgen.cli.summary import show_candidate, show_run
    from rewardgen.report.choices import legibility_facts
    from rewardgen.report.result import document, result
    from rewardgen.store import find_run, find_sweep, read

    if (sweep := find_sweep(run, out)) is not None:
        _show_sweep(sweep, json=json)
        return
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
    found = view.candidates[candidate]
    print_json(found) if json else show_candidate(view, found)


def _show_sweep(folder: Path, *, json: bool) -> None:
    from rewardgen.cli.sweep_summary import described, show_sweep
    from rewardgen.sweep import sweep_standing

    kept, standings = sweep_standing(folder)
    print_json(described(kept, standings)) if json else show_sweep(kept, standings)
