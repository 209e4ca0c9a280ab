"""``rewardgen sweep``: run many searches from one YAML file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rewardgen.cli.options import Json, RunsDir
from rewardgen.cli.output import console, note, print_json
from rewardgen.cli.settings import Set, parse_assignments
from rewardgen.errors import RewardgenError, Stopped, UsageError
from rewardgen.text import count

if TYPE_CHECKING:
    from rewardgen.sweep import Executor, Plan, Rates, SearchOutcome, SearchState


def sweep(
    spec: Annotated[
        Path,
        typer.Argument(
            metavar="SPEC",
            help="The sweep's YAML file; docs/sweeps.md describes it.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would run, and what it would take.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Concurrent searches [default: as many as CPUs and memory allow]."),
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            "--executor",
            metavar="local|ray",
            help="This machine, or a Ray cluster; see docs/cluster.md.",
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address of the Ray cluster [default: this machine's ('auto')]."),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --executor ray: shards of each generation [default: as many as keep the cluster busy]."
        ),
    ] = None,
    assignments: Set = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The sweep's name, instead of the file's.")] = None,
    out: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Run all searches of a sweep, or continue it: finished searches are not run again.

    Each search has its own folder in runs/NAME/ and is a run like any other. Ctrl-C stops; the same command continues.
    """
    from rewardgen.cli.sweep_summary import forecast, show_forecast
    from rewardgen.sweep import make_plan, rates_of

    if name is not None and (name in ("", ".", "..", "latest") or Path(name).name != name):
        raise UsageError(f"--name {name!r}: use a plain name without slashes, and --out for the folder")
    # Expand the file into searches, and choose where they run
    plan = make_plan(spec, out, name=name, given=parse_assignments(assignments))
    rates = rates_of(plan, out)
    executor = _executor(plan, where, jobs, address, shards)
    if dry_run:
        document = forecast(plan, rates, executor)
        print_json(document) if json else show_forecast(document)
        return
    _start(plan, rates, executor, out, json=json)


def _executor(plan: Plan, where: str, jobs: int | None, address: str | None, shards: int | None) -> Executor:
    """Return what runs the searches.

    Raises:
        UsageError: there is no such executor, or the flags do not belong to it.
    """
    # Ray is an extra, and takes seconds to import
    if where == "ray":
        from rewardgen.sweep.ray import RayExecutor

        return RayExecutor(plan.spec.share, address or "auto", jobs, shards, wanted=len(plan.searches))
    if where != "local":
        raise UsageError(f"--executor {where}: use local or ray")
    if address is not None or shards is not None:
        raise UsageError("--address and --shards are for --executor ray")
    from rewardgen.sweep import LocalExecutor

    return LocalExecutor(plan.spec.share, jobs, wanted=len(plan.searches))


def _start(plan: Plan, rates: Rates, executor: Executor, out: Path, *, json: bool) -> None:
    """Run the sweep and print its result."""
    from rewardgen.cli.session import sigterm_interrupts
    from rewardgen.cli.sweep_progress import SweepProgress, watched
    from rewardgen.cli.sweep_summary import show_sweep, sweep_document
    from rewardgen.store import BASELINES
    from rewardgen.sweep import run_sweep, sweep_standing
    from rewardgen.sweep.ready import check_authors

    # Fail before the first search starts if an author cannot be used
    check_authors(plan)
    for task, why in plan.missing.items():
        note(f"without {task}: {why}")
    # Run
    progress = SweepProgress(plan, rates, executor.threads, executor.slots)
    try:
        with sigterm_interrupts(), watched(progress, console(stderr=json)) as watch:
            ended = run_sweep(
                plan, executor, baselines=out / BASELINES, rates=rates, threads=executor.threads, watch=watch
            )
    except KeyboardInterrupt as stop:
        raise Stopped(f"stopped; everything that was done is stored. To continue:\n  {_command()}") from stop
    # Print the result; the exit code follows from it
    summary, standings = sweep_standing(plan.folder)
    if json:
        print_json(sweep_document(summary, standings, ended))
    else:
        show_sweep(summary, standings)
    _conclude(ended, standings, json=json)


def _conclude(ended: Sequence[SearchOutcome], standings: Sequence[SearchState], *, json: bool) -> None:
    """Fail if a search failed, or if none of those that finished found a reward.

    Raises:
        RewardgenError: that is so; ``typer.Exit`` with --json, whose document says it already.
    """
    # Sort out how the searches ended
    failed = [each for each in ended if each.status == "failed"]
    finished = [each for each in standings if each.status == "finished"]
    empty = [each for each in finished if each.winner is None]
    none_found = bool(finished) and len(empty) == len(finished)
    # The document says it; only the exit code is left to set
    if json and (failed or none_found):
        raise typer.Exit(RewardgenError.exit_code)
    if failed:
        raise RewardgenError(
            f"{len(failed)} of {len(ended)} searches failed, first {failed[0].planned.key}: {failed[0].message}\n"
            f"The others are not affected. To retry the failed ones:\n  {_command()}"
        )
    if none_found:
        raise RewardgenError(
            f"no search found a reward: no candidate of {count(len(finished), 'search', 'searches')} could be trained; "
            f"`rewardgen show {finished[0].planned.run_dir}` says why"
        )
    if empty:
        note(f"warning: {len(empty)} of {len(finished)} searches found no reward, first {empty[0].planned.key}")


def _command() -> str:
    """Return the user's command line, quoted for a shell."""
    return shlex.join(["rewardgen", *sys.argv[1:]])
