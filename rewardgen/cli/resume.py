"""``rewardgen resume``: continue a run that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rewardgen.cli.flags import SettingFlag, given
from rewardgen.cli.options import Json, RunName, RunsDir
from rewardgen.cli.settings import Set, parse_assignments, with_flags

if TYPE_CHECKING:
    from rewardgen.search import Listener
    from rewardgen.store import RunView


def resume(
    run: RunName = "latest",
    generations: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="The new total of generations; a finished run continues with the added ones."
        ),
    ] = None,
    llm: Annotated[str | None, typer.Option(metavar="MODEL", help="Continue with another model.")] = None,
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="Continue at another endpoint.")] = None,
    budget_dollars: Annotated[float | None, SettingFlag("budget.dollars")] = None,
    budget_tokens: Annotated[int | None, SettingFlag("budget.tokens")] = None,
    budget_calls: Annotated[int | None, SettingFlag("budget.calls")] = None,
    budget_steps: Annotated[int | None, SettingFlag("budget.steps")] = None,
    budget_hours: Annotated[float | None, SettingFlag("budget.hours")] = None,
    assignments: Set = None,
    out: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Continue a run where it stopped, or add generations to it. Nothing that was paid for is paid for again."""
    flags = given(resume, locals())
    from rewardgen.cli.session import search
    from rewardgen.config import Config, validate
    from rewardgen.search.start import changed
    from rewardgen.store import find_run, read

    # --llm also replaces a list of models that the run began with
    flags |= with_flags({"llm.model": llm, "llm.models": [] if llm else None, "llm.base_url": base_url})
    flags |= with_flags({"search.generations": generations})
    overrides = {**parse_assignments(assignments), **flags}
    path = find_run(run, out)
    view = read(path)
    # The settings only serve to estimate the remaining time; a run that was killed at once has none yet
    settings = validate(Config, changed(dict(view.config), overrides), str(path)) if view.config else None

    def work(listener: Listener) -> RunView:
        """Continue the search."""
        from rewardgen.search import resume as resume_run

        return resume_run(path, listener=listener, overrides=overrides)

    search(work, path, settings, json=json)
