"""``rewardgen export``: write a run's best reward and policy as files that work without rewardgen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardgen.cli.options import Envs, Json, RunName, RunsDir, folders
from rewardgen.cli.output import note, print_json, write
from rewardgen.errors import UsageError


def export(
    run: RunName = "latest",
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Write the files to this folder instead.")
    ] = None,
    candidate: Annotated[
        str | None, typer.Option("--candidate", metavar="KEY", help="Export this candidate instead of the winner.")
    ] = None,
    preferences: Annotated[
        bool, typer.Option("--preferences", help="Write people's judgements of replays instead, as JSON lines.")
    ] = False,
    envs: Envs = None,
    out: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Write the best reward, a Gymnasium environment that uses it, and the policy; none of them needs rewardgen."""
    from rewardgen.export import PREFERENCES, export_preferences, export_run
    from rewardgen.store import find_run, read

    path = find_run(run, out)
    # Judgements
    if preferences:
        if candidate is not None:
            raise UsageError("--preferences exports the judgements of the whole run; remove --candidate")
        file = (to or path / "export") / PREFERENCES
        count = export_preferences(read(path), file)
        if json:
            print_json({"file": file, "preferences": count})
        else:
            write(f"{file}: {count} comparisons")
        return
    # Reward, wrapper and policy
    exported = export_run(read(path), to or path / "export", candidate=candidate, envs=folders(envs))
    if json:
        print_json(exported)
        return
    for file in exported.files:
        write(str(file))
    for text in exported.notes:
        note(text)
