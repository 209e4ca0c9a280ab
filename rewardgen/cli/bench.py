"""``rewardgen bench``: how fast this machine trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rewardgen.cli.options import Envs, Json, folders
from rewardgen.cli.output import note, print_json, show, table
from rewardgen.cli.settings import Set, parse_assignments
from rewardgen.errors import UsageError

if TYPE_CHECKING:
    from rewardgen.tasks import Task

_MEANING = {
    "physics_steps_per_s": "environment steps a second of bare mj_step, the same batch",
    "train_steps_per_s": "environment steps a second of training",
    "sb3_steps_per_s": "the same of Stable-Baselines3's PPO with its defaults",
    "ratio_to_physics": "training / physics",
    "ratio_to_sb3": "training / Stable-Baselines3",
    "sandbox_share": "share of the training spent waiting for the sandbox",
    "checkpoint_share": "share of the training spent on checkpoints",
    "same_best": "share of rounds in which the race found the same best reward",
    "ratio": "the race's steps to the same best fitness / those of training all to the end, where it found it",
    "ratio_whole": "the race's steps altogether / those of training all to the end",
    "first_reward_ms": "milliseconds from a program's text to its first reward, the sandbox's server being warm",
}


def bench(
    task: Annotated[str, typer.Option("--task", metavar="TASK", help="What to train.")] = "cheetah/run",
    population: Annotated[int, typer.Option(min=1, help="Rewards trained together.")] = 8,
    updates: Annotated[int, typer.Option(min=1, help="Rollouts and updates that are timed.")] = 40,
    threads: Annotated[int, typer.Option(min=0, help="Processor threads; 0 is all.")] = 0,
    racing: Annotated[
        bool, typer.Option("--racing", help="Instead: a race against training all to the end. Takes as long as those.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="With --racing: how often, each with other rewards.")] = 1,
    set_: Set = None,
    envs: Envs = None,
    json: Json = False,
) -> None:
    """Measure training against bare physics and against Stable-Baselines3, in one go. Takes a minute or so.

    With --racing, measure how many environment steps a race takes to the best fitness that the same rewards reach when
    all of them train to the end.
    """
    from rewardgen.bench import measure
    from rewardgen.tasks import load_task

    loaded = load_task(task, folders(envs))
    if racing:
        _compare(loaded, population, rounds, threads, set_, json=json)
        return
    if set_:
        raise UsageError("--set goes with --racing alone; the other measurements are made with the task's own settings")
    note("let nothing else run meanwhile")
    result = measure(loaded, population=population, updates=updates, threads=threads, say=note)
    if json:
        print_json(result)
        return
    listing = table("what", "measured", "meaning", right=("measured",))
    for name, value in result.items():
        listing.add_row(name, _shown(value), _MEANING.get(name, ""))
    show(listing)


def _compare(
    task: Task, candidates: int, rounds: int, threads: int, assignments: list[str] | None, *, json: bool
) -> None:
    from rewardgen import config
    from rewardgen.search.comparison import compare_racing

    settings = {"task": task.name, "search.candidates": candidates, "threads": threads}
    loaded = config.load(overrides=settings | parse_assignments(assignments), task_defaults=task.training)
    note(f"{2 * candidates * loaded.search.seeds * rounds} trainings of {loaded.training.steps:,} steps at most")
    result = compare_racing(task, loaded, rounds=rounds, say=note)
    if json:
        print_json(result)
        return
    columns = ("candidates", "stopped", "steps_all", "steps_racing", "to_best_all", "to_best_racing", "best_all",
               "best_racing", "seconds_all", "seconds_racing")  # fmt: skip
    listing = table("round", *(name.replace("_", " ") for name in columns), right=("round",))
    for number, each in enumerate(result["rounds"], start=1):
        listing.add_row(str(number), *(_shown(each[name]) for name in columns))
    show(listing)
    listing = table("what", "measured", "meaning", right=("measured",))
    for name in ("same_best", "ratio", "ratio_whole"):
        listing.add_row(name, _shown(result[name]), _MEANING[name])
    show(listing)


def _shown(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
