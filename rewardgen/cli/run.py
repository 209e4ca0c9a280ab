"""``rewardgen run``: search for a reward."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rewardgen.cli.options import Device, Envs, Json, Physics, Prompts, RunsDir, SandboxLevel, folders, template_folder
from rewardgen.cli.settings import Set, judge_settings, parse_assignments, with_flags
from rewardgen.errors import UsageError

if TYPE_CHECKING:
    from rewardgen.search import Listener
    from rewardgen.store import RunView

MODEL, SIZE, BUDGET, PLACES = "Language model", "Size of the search", "Budget", "Places"


def run(
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="A task's name; --config can name it too.")
    ] = None,
    llm: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            rich_help_panel=MODEL,
            help="A model's name, 'offline', 'replay:FILE', or 'dialog:DIR', where you or an agent answer in files. "
            "Without a key: offline, which uses no language model.",
        ),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", rich_help_panel=MODEL, help="An OpenAI-compatible endpoint.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, rich_help_panel=MODEL, help="Sampling temperature.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", rich_help_panel=SIZE, help="A search method, or its YAML file.")
    ] = None,
    generations: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=SIZE, help="How often the author is asked.")
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=SIZE, help="Rewards in each generation.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, rich_help_panel=SIZE, help="Training seeds of each.")] = None,
    restarts: Annotated[int | None, typer.Option(min=1, rich_help_panel=SIZE, help="Independent searches.")] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="people|simulated|vlm:MODEL|fitness",
            rich_help_panel=SIZE,
            help="Who says which candidates are better. docs/people.md",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=SIZE, help="Environment steps of each training.")
    ] = None,
    report_seeds: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=SIZE, help="Fresh training seeds for the reported scores.")
    ] = None,
    trainer: Annotated[
        str | None,
        typer.Option(metavar="population|sb3", rich_help_panel=SIZE, help="sb3 is the reference, one at a time."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, rich_help_panel=SIZE, help="All randomness follows from it.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=0, rich_help_panel=SIZE, help="0 is all.")] = None,
    sim: Physics = None,
    device: Device = None,
    sandbox: SandboxLevel = None,
    budget_dollars: Annotated[
        float | None, typer.Option(min=0, rich_help_panel=BUDGET, help="Max. US dollars for the language model.")
    ] = None,
    budget_tokens: Annotated[
        int | None, typer.Option(min=0, rich_help_panel=BUDGET, help="Max. tokens, of prompts and replies together.")
    ] = None,
    budget_calls: Annotated[
        int | None, typer.Option(min=0, rich_help_panel=BUDGET, help="Max. requests to the language model.")
    ] = None,
    budget_steps: Annotated[
        int | None, typer.Option(min=0, rich_help_panel=BUDGET, help="Max. environment steps.")
    ] = None,
    budget_hours: Annotated[
        float | None, typer.Option(min=0, rich_help_panel=BUDGET, help="Max. hours, without waiting for people.")
    ] = None,
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

    Everything is kept in the run's folder as it comes; Ctrl-C stops, `rewardgen resume` goes on.
    """
    from rewardgen.cli.session import search
    from rewardgen.search import configure

    flags: dict[str, Any] = {
        "task": task,
        "seed": seed,
        "threads": threads,
        "sim": sim,
        "device": device,
        "sandbox.level": sandbox,
        "llm.model": llm,
        "llm.models": [] if llm else None,  # the flag overrides both in a file
        "llm.base_url": base_url,
        "llm.temperature": temperature,
        "search.method": method,
        "search.generations": generations,
        "search.candidates": candidates,
        "search.seeds": seeds,
        "search.restarts": restarts,
        "training.steps": steps,
        "training.trainer": trainer,
        "evaluation.report_seeds": report_seeds,
        "budget.dollars": budget_dollars,
        "budget.tokens": budget_tokens,
        "budget.calls": budget_calls,
        "budget.steps": budget_steps,
        "budget.hours": budget_hours,
    }
    places = folders(envs)
    overrides = {**judge_settings(judge), **parse_assignments(assignments), **with_flags(flags)}
    settings = configure(config, overrides, places)
    run_dir = _run_dir(out, name, settings.task)

    def work(listener: Listener) -> RunView:
        from rewardgen.search import run as start

        return start(settings, run_dir, listener=listener, envs=places, prompts_dir=template_folder(prompts))

    search(work, run_dir, settings, json=json)


def _run_dir(out: Path, name: str | None, task: str) -> Path:
    """A folder that no run has used yet."""
    if name is not None:
        if name in ("", ".", "..", "latest") or Path(name).name != name:
            raise UsageError(f"--name {name!r}: use a plain name without slashes, and --out for the folder")
        if (out / name).exists():
            raise UsageError(f"{out / name} exists already; `rewardgen resume {out / name}` goes on with it")
        return out / name
    base = f"{task.replace('/', '-')}-{time.strftime('%Y%m%d-%H%M%S')}"
    names = [base, *(f"{base}-{number}" for number in range(2, 1000))]
    return next(path for each in names if not (path := out / each).exists())
