"""``rewardgen sweep``: many searches by one YAML file."""

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
    from rewardgen.sweep import Ended, Executor, Plan, Rates, SearchState


def sweep(
    spec: Annotated[
        Path, typer.Argument(metavar="SPEC", help="The sweep's YAML file; docs/sweeps.md says what it holds.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would run, and what it would take.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Searches at once; by default as many as there are processors and memory for."),
    ] = None,
    where: Annotated[
        str, typer.Option("--executor", metavar="local|ray", help="This machine, or a Ray cluster: docs/cluster.md.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of the Ray cluster; by default this machine's ('auto').")
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            min=1, help="On Ray: parts into which each generation is cut; by default as many as keep it busy."
        ),
    ] = None,
    assignments: Set = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The sweep's name, instead of the file's.")] = None,
    out: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Run all searches of a sweep, or go on with it: what is finished is not done again.

    Each search lies in a folder of its own under runs/NAME/ and is a run like any other. Ctrl-C stops; the same command
    goes on.
    """
    from rewardgen.cli.sweep_summary import forecast, show_forecast
    from rewardgen.sweep import make_plan, rates_of

    if name is not None and (name in ("", ".", "..", "latest") or Path(name).name != name):
        raise UsageError(f"--name {name!r}: use a plain name without slashes, and --out for the folder")
    plan = make_plan(spec, out, name=name, given=parse_assignments(assignments))
    rates = rates_of(plan, out)
    executor = _executor(plan, where, jobs, address, shards)
    if dry_run:
        told = forecast(plan, rates, executor)
        print_json(told) if json else show_forecast(told)
        return
    _start(plan, rates, executor, out, json=json)


def _executor(plan: Plan, where: str, jobs: int | None, address: str | None, shards: int | None) -> Executor:
    if where == "ray":
        from rewardgen.sweep.ray import RayExecutor

        return RayExecutor(plan.spec.share, address or "auto", jobs, shards, wanted=len(plan.searches))
    if where != "local":
        raise UsageError(f"--executor {where}: there are local and ray")
    if address is not None or shards is not None:
        raise UsageError("--address and --shards are for --executor ray")
    from rewardgen.sweep import LocalExecutor

    return LocalExecutor(plan.spec.share, jobs, wanted=len(plan.searches))


def _start(plan: Plan, rates: Rates, executor: Executor, out: Path, *, json: bool) -> None:
    from rewardgen.cli.session import terminable
    from rewardgen.cli.sweep_progress import SweepProgress, watched
    from rewardgen.cli.sweep_summary import described, show_sweep
    from rewardgen.store import BASELINES
    from rewardgen.sweep import run_sweep, sweep_standing
    from rewardgen.sweep.ready import check_authors

    check_authors(plan)
    for task, why in plan.missing.items():
        note(f"without {task}: {why}")
    progress = SweepProgress(plan, rates, executor.threads, executor.slots)
    try:
        with terminable(), watched(progress, console(stderr=json)) as watch:
            ended = run_sweep(
                plan, executor, baselines=out / BASELINES, rates=rates, threads=executor.threads, watch=watch
            )
    except KeyboardInterrupt as stop:
        raise Stopped(f"stopped; nothing that was done is lost. To go on:\n  {_command()}") from stop
    kept, standings = sweep_standing(plan.folder)
    if json:
        print_json(described(kept, standings, ended))
    else:
        show_sweep(kept, standings)
    _conclude(ended, standings, json=json)


def _conclude(ended: Sequence[Ended], standings: Sequence[SearchState], *, json: bool) -> None:
    """Fail if a search failed, or if none of those that finished found a reward.

    Raises:
        RewardgenError: so it is; where the JSON document says it already, ``typer.Exit``.
    """
    failed = [each for each in ended if each.status == "failed"]
    finished = [each for each in standings if each.status == "finished"]
    empty = [each for each in finished if each.winner is None]
    nothing = bool(finished) and len(empty) == len(finished)
    if json and (failed or nothing):
        raise typer.Exit(RewardgenError.exit_code)
    if failed:
        raise RewardgenError(
            f"{len(failed)} of {len(ended)} searches failed, the first of them {failed[0].planned.key}: "
            f"{failed[0].message}\nThe others are not touched by it. To try those again:\n  {_command()}"
        )
    if nothing:
        raise RewardgenError(
            f"no search found a reward: no candidate of {count(len(finished), 'search', 'searches')} could be trained; "
            f"`rewardgen show {finished[0].planned.run_dir}` says why"
        )
    if empty:
        note(
            f"warning: {len(empty)} of {len(finished)} searches found no reward, the first of them "
            f"{empty[0].planned.key}"
        )


def _command() -> str:
    """The line that was given, for the shell."""
    return shlex.join(["rewardgen", *sys.argv[1:]])
