"""``rewardgen run``: search for a reward."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rewardgen.cli.flags import SettingFlag, given
from rewardgen.cli.options import Device, Envs, Json, Physics, Prompts, RunsDir, SandboxLevel, folders, template_folder
from rewardgen.cli.settings import Set, judge_settings, parse_assignments
from rewardgen.errors import UsageError

if TYPE_CHECKING:
    from rewardgen.search import Listener
    from rewardgen.store import RunView

MODEL, SIZE, BUDGET, PLACES = "Language model", "Size of the search", "Budget", "Places"


def run(
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="A task's name; --config can name it too.")
    ] = None,
    llm: Annotated[str | None, SettingFlag("llm.model", MODEL, metavar="MODEL")] = None,
    base_url: Annotated[str | None, SettingFlag("llm.base_url", MODEL, metavar="URL")] = None,
    temperature: Annotated[float | None, SettingFlag("llm.temperature", MODEL)] = None,
    method: Annotated[str | None, SettingFlag("search.method", SIZE, metavar="NAME")] = None,
    generations: Annotated[int | None, SettingFlag("search.generations", SIZE)] = None,
    candidates: Annotated[int | None, SettingFlag("search.candidates", SIZE)] = None,
    seeds: Annotated[int | None, SettingFlag("search.seeds", SIZE)] = None,
    restarts: Annotated[int | None, SettingFlag("search.restarts", SIZE)] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="people|simulated|vlm:MODEL|fitness",
            rich_help_panel=SIZE,
            help="What ranks the candidates; see docs/people.md.",
        ),
    ] = None,
    steps: Annotated[int | None, SettingFlag("training.steps", SIZE)] = None,
    report_seeds: Annotated[int | None, SettingFlag("evaluation.report_seeds", SIZE)] = None,
    trainer: Annotated[str | None, SettingFlag("training.trainer", SIZE)] = None,
    seed: Annotated[int | None, SettingFlag("seed", SIZE)] = None,
    threads: Annotated[int | None, SettingFlag("threads", SIZE)] = None,
    sim: Physics = None,
    device: Device = None,
    sandbox: SandboxLevel = None,
    budget_dollars: Annotated[float | None, SettingFlag("budget.dollars", BUDGET)] = None,
    budget_tokens: Annotated[int | None, SettingFlag("budget.tokens", BUDGET)] = None,
    budget_calls: Annotated[int | None, SettingFlag("budget.calls", BUDGET)] = None,
    budget_steps: Annotated[int | None, SettingFlag("budget.steps", BUDGET)] = None,
    budget_hours: Annotated[float | None, SettingFlag("budget.hours", BUDGET)] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="A YAML file of settings; flags override it.")
    ] = None,
    assignments: Set = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", rich_help_panel=PLACES, help="The run's name.")] = None,
    out: RunsDir = Path("runs"),
    envs: Envs = None,
    prompts: Prompts = None,
    json: Json = False,
) -> None:
    """Search for a reward that makes a task learnable.

    Every step is stored in the run's folder at once; Ctrl-C stops, and `rewardgen resume` continues.
    """
    flags = given(run, locals())
    from rewardgen.cli.session import search
    from rewardgen.search import configure

    # Flags override --set, which overrides --judge and the file
    if task is not None:
        flags["task"] = task
    if llm:
        flags["llm.models"] = []  # --llm also overrides a list of models in the file
    task_folders = folders(envs)
    assigned = parse_assignments(assignments)
    overrides = {**judge_settings(judge, assigned), **assigned, **flags}
    settings = configure(config, overrides, task_folders)
    run_dir = _run_dir(out, name, settings.task)

    def work(listener: Listener) -> RunView:
        """Run the search."""
        from rewardgen.search import run as run_search

        return run_search(settings, run_dir, listener=listener, envs=task_folders, prompts_dir=template_folder(prompts))

    search(work, run_dir, settings, json=json)


def _run_dir(out: Path, name: str | None, task: str) -> Path:
    """Return a folder that does not exist yet: ``name``, or the task with the time.

    Raises:
        UsageError: ``name`` is not a plain name, or its folder exists.
    """
    if name is not None:
        if name in ("", ".", "..", "latest") or Path(name).name != name:
            raise UsageError(f"--name {name!r}: use a plain name without slashes, and --out for the folder")
        if (out / name).exists():
            raise UsageError(f"{out / name} exists; `rewardgen resume {out / name}` continues it, or choose another")
        return out / name
    # Two runs may start within one second
    base = f"{task.replace('/', '-')}-{time.strftime('%Y%m%d-%H%M%S')}"
    names = [base, *(f"{base}-{number}" for number in range(2, 1000))]
    return next(path for each in names if not (path := out / each).exists())
