"""``rewardgen baseline``: measure what the expert's and the sparse reward reach."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rewardgen.cli.flags import SettingFlag, given
from rewardgen.cli.options import Device, Envs, Json, Physics, RunsDir, folders
from rewardgen.cli.output import note, print_json, safe, show, table, write
from rewardgen.cli.settings import Set, parse_assignments

if TYPE_CHECKING:
    from rewardgen.config import Config
    from rewardgen.report.task_page import Measured
    from rewardgen.tasks import Task
    from rewardgen.training import Watcher


def baseline(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TASK]...",
            help="Names, or patterns such as 'hopper/*' [default: all tasks].",
        ),
    ] = None,
    steps: Annotated[int | None, SettingFlag("training.steps")] = None,
    seeds: Annotated[int | None, SettingFlag("evaluation.report_seeds")] = None,
    threads: Annotated[int | None, SettingFlag("threads")] = None,
    sim: Physics = None,
    device: Device = None,
    again: Annotated[bool, typer.Option("--anew", help="Measure again what was measured before.")] = False,
    stored_only: Annotated[
        bool, typer.Option("--kept", help="Train nothing; print only what was measured before.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option("--page", metavar="FILE", help="Also write a Markdown page about these tasks, with pictures."),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="A YAML file of settings.")] = None,
    assignments: Set = None,
    runs_dir: RunsDir = Path("runs"),
    envs: Envs = None,
    json: Json = False,
) -> None:
    """Train with the expert's and the sparse reward of tasks, and store the scores for later runs.

    Baselines that were measured with the same settings, by the same code, on this machine are not measured again.
    """
    flags = given(baseline, locals())
    from rewardgen import baselines
    from rewardgen.config import load
    from rewardgen.errors import TaskError, UsageError
    from rewardgen.report.task_page import Measured, write_task_page
    from rewardgen.search import resolve
    from rewardgen.sim.machine import versions
    from rewardgen.store import BASELINES
    from rewardgen.tasks import load_task
    from rewardgen.training import arrangement_of

    if again and stored_only:
        raise UsageError("--anew trains and --kept does not; give only one of them")
    task_folders = folders(envs)
    measured: list[Measured] = []
    for name in _named(tasks or ["*"], task_folders):
        # A task that cannot be loaded is an error only if it was named
        try:
            task = load_task(name, task_folders)
        except TaskError as error:
            if tasks and name in tasks:
                raise
            note(f"{name}: skipped: {error}")
            continue
        # Its settings, as a search would resolve them
        overrides = {**parse_assignments(assignments), **flags, "task": name}
        settings = load(config, overrides, task_defaults=dict(task.training))
        watcher = None if json else _progress_watcher(task, settings)
        folder = runs_dir / BASELINES
        settings = resolve(settings, task, arrangement=arrangement_of(settings, task)).config
        # Measure its baselines, or look them up
        if stored_only:
            stored = baselines.find(folder, task, settings)
        else:
            stored = baselines.measure(folder, task, settings, again=again, watcher=watcher)
        measured.append(Measured(task, settings, stored.get("expert"), stored.get("sparse")))
        if not json:
            _print(measured[-1], heading=len(measured) == 1)
    # Write the page, and print what was not printed yet
    page_file = write_task_page(measured, page, versions()) if page is not None else None
    if json:
        print_json({"baselines": [_facts(each) for each in measured], "page": page_file})
    elif page_file is not None:
        write(f"written: {page_file}")


def _named(patterns: Sequence[str], task_folders: Sequence[Path]) -> list[str]:
    """Return the names of the tasks that match ``patterns``, sorted.

    Raises:
        UnknownName: a pattern matches none.
    """
    from rewardgen.errors import UnknownName
    from rewardgen.tasks import task_names

    # Each pattern must match something, or a misspelt one would be ignored
    known = task_names(task_folders)
    chosen = set()
    for pattern in patterns:
        hits = fnmatch.filter(known, pattern)
        if not hits:
            raise UnknownName("task", pattern, known, "(`rewardgen tasks` lists them; --envs DIR adds yours)")
        chosen.update(hits)
    return [name for name in known if name in chosen]


def _progress_watcher(task: Task, config: Config) -> Watcher:
    """Return a watcher that prints the progress of a task's trainings every few seconds."""
    from rewardgen.baselines import shared_reward
    from rewardgen.training import Watcher

    interval = 10.0  # s
    rewards = 1 if shared_reward(task) else 2
    total = rewards * config.evaluation.report_seeds * config.training.steps

    class StepPrinter(Watcher):
        """Prints the progress of a task's trainings."""

        def __init__(self) -> None:
            self._began = self._last_note = time.monotonic()
            self._first: int | None = None

        def progress(self, steps: int) -> None:
            """Print steps and speed, if the last time was long enough ago."""
            now = time.monotonic()
            if self._first is None:  # steps of an interrupted measurement count, but took no time here
                self._began, self._first = now, steps
            if now - self._last_note >= interval:
                self._last_note = now
                rate = (steps - self._first) / max(now - self._began, 1e-9)
                note(f"{task.name}: {steps:,} of {total:,} steps, {rate:,.0f} a second")

    return StepPrinter()


def _print(measured: Measured, *, heading: bool) -> None:
    """Print a task's baselines as rows of a table; ``heading`` for the first task."""
    from rewardgen.text import number, percent

    listing = table("task", "reward", "fitness", "interval", "success", "seeds", "steps each", right=("fitness",))
    listing.show_header = heading
    # Each task is a table of its own, printed when it is done: fixed widths make them look like one
    widths = (28, 8, 18, 22, 8, 6, 12)
    for column, width in zip(listing.columns, widths, strict=True):
        column.min_width = width
    for baseline_ in measured.baselines:
        score = baseline_.evaluation
        listing.add_row(
            safe(measured.task.name if baseline_ is measured.baselines[0] else ""),
            baseline_.name,
            safe(f"{number(score.mean)} {measured.task.fitness_unit}"),
            f"{number(score.low)} to {number(score.high)}",
            percent(score.success_rate),
            str(score.seeds),
            f"{measured.config.training.steps:,}",
        )
    if not measured.baselines:
        listing.add_row(safe(measured.task.name), "not measured", "", "", "", "", "")
    show(listing)


def _facts(measured: Measured) -> dict[str, Any]:
    """Return a task's baselines as plain values."""
    return {
        "task": measured.task.name,
        "fitness_unit": measured.task.fitness_unit,
        "success_threshold": measured.task.success_threshold,
        "training": measured.config.training,
        "expert": measured.expert,
        "sparse": measured.sparse,
    }
