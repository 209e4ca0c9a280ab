"""``rewardgen bench``: how fast this machine trains, and how well."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rewardgen.cli.options import Device, Envs, Json, Physics, folders
from rewardgen.cli.output import note, print_json, show, table
from rewardgen.cli.settings import Set, parse_assignments
from rewardgen.errors import UsageError

if TYPE_CHECKING:
    from rewardgen.tasks import Task

_MEANING = {
    "physics_steps_per_s": "environment steps a second of bare mj_step: the same batch, the training's commands",
    "physics_random_steps_per_s": "the same under uniformly random commands",
    "train_steps_per_s": "environment steps a second of training",
    "sb3_steps_per_s": "the same of Stable-Baselines3's PPO with its defaults",
    "envpool_steps_per_s": "the same of Stable-Baselines3's PPO on EnvPool's worlds with our networks and epochs",
    "ratio_to_physics": "training / physics",
    "ratio_to_physics_random": "training / physics under random commands",
    "ratio_to_sb3": "training / Stable-Baselines3",
    "ratio_to_envpool": "training / Stable-Baselines3 on EnvPool",
    "rollout_share": "share of the training spent on physics and acting",
    "learning_share": "share of the training spent on updates",
    "checkpoint_share": "share of the training spent on checkpoints",
    "sandbox_share": "share of the training spent waiting for the sandbox",
    "first_reward_ms": "milliseconds from a program's text to its first reward, the sandbox's server being warm",
    "same_best": "share of rounds in which the race found the same best reward",
    "shortfall": "how much of the best reward's lead over the average one the race lost: 0 nothing, 1 all",
    "ratio": "the race's steps to the same best fitness / those of training all to the end, where it found it",
    "ratio_whole": "the race's steps altogether, further seeds included / those of training all to the end",
    "gain": "by how much the race's pick does better on fresh seeds than the pick from training all to the end",
}


def bench(
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task", metavar="TASK", help="What to train [default: cheetah/run]; with --learning, repeatable."
        ),
    ] = None,
    population: Annotated[int, typer.Option(min=1, help="Rewards trained together.")] = 8,
    updates: Annotated[int, typer.Option(min=1, help="Rollouts and updates that are timed.")] = 40,
    threads: Annotated[int, typer.Option(min=0, help="Processor threads; 0 is all.")] = 0,
    envpool: Annotated[
        Path | None,
        typer.Option(
            metavar="PYTHON", help="Also Stable-Baselines3 on EnvPool, run by this interpreter that has both."
        ),
    ] = None,
    racing: Annotated[
        bool, typer.Option("--racing", help="Instead: a race against training all to the end. Takes as long as those.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="With --racing: how often, each with other rewards.")] = 1,
    fresh: Annotated[
        int, typer.Option(min=0, help="With --racing: training seeds that picked neither, to compare the picks on.")
    ] = 2,
    learning: Annotated[
        bool, typer.Option("--learning", help="Instead: learning curves against Stable-Baselines3's. Takes hours.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, help="With --learning: seeds of each trainer.")] = 8,
    trainer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="With --learning: population, sb3-matched or sb3 [default: the first two]."),
    ] = None,
    results: Annotated[
        Path, typer.Option(metavar="DIR", help="With --learning: keeps the curves; those in it are not trained again.")
    ] = Path("runs/learning"),
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw what was measured: FILE.svg or FILE.png. Not of races.")
    ] = None,
    devices: Annotated[
        bool, typer.Option("--devices", help="Instead: every arrangement of physics and learning that there is here.")
    ] = False,
    sim: Physics = None,
    device: Device = None,
    worlds: Annotated[
        str | None,
        typer.Option(metavar="N,N,…", help="With --devices: numbers of worlds, of all candidates together."),
    ] = None,
    set_: Set = None,
    envs: Envs = None,
    json: Json = False,
) -> None:
    """Measure training against bare physics and against Stable-Baselines3, in one go. Takes a minute or two.

    With --racing, measure how many environment steps a race takes to the best fitness that the same rewards reach when
    all of them train to the end. With --learning, train the expert's reward with many seeds and hold the curves against
    those of Stable-Baselines3's PPO at equal steps; cut off and started again, it goes on.
    """
    from rewardgen.tasks import load_task

    loaded = [load_task(name, folders(envs)) for name in task or ["cheetah/run"]]
    if learning:
        chosen = trainer or ["population", "sb3-matched"]
        _learn(loaded, chosen, seeds, results, threads, set_, plot, json=json)
        return
    if len(loaded) > 1:
        raise UsageError("several tasks go with --learning alone")
    if devices:
        from rewardgen.cli.bench_devices import compare_devices

        wanted = {"sim": sim, "device": device, "worlds": worlds}
        compare_devices(loaded[0], **wanted, candidates=population, updates=updates, threads=threads, json=json)
        return
    if sim or device or worlds:
        raise UsageError("--sim, --device and --worlds go with --devices")
    if racing:
        _compare(loaded[0], population, rounds, fresh, threads, set_, json=json)
        return
    if set_:
        raise UsageError("--set goes with --racing and --learning; the rest is measured with the task's own settings")
    _time(loaded[0], population, updates, threads, envpool, plot, json=json)


def _time(
    task: Task, population: int, updates: int, threads: int, envpool: Path | None, plot: Path | None, *, json: bool
) -> None:
    from rewardgen.bench import draw_throughput, measure

    note("let nothing else run meanwhile")
    result = measure(task, population=population, updates=updates, threads=threads, envpool=envpool, say=note)
    if plot is not None:
        draw_throughput(result, plot)
    if json:
        print_json(result)
        return
    listing = table("what", "measured", "meaning", right=("measured",))
    by_members = result.pop("scaling")
    for name, value in result.items():
        listing.add_row(name, _shown(value), _MEANING.get(name, ""))
    for members, rate in by_members.items():
        listing.add_row(f"scaling: {members}", _shown(rate), f"the same as train_steps_per_s, {members} together")
    show(listing)


def _learn(
    tasks: list[Task],
    trainers: list[str],
    seeds: int,
    results: Path,
    threads: int,
    assignments: list[str] | None,
    plot: Path | None,
    *,
    json: bool,
) -> None:
    from rewardgen import config
    from rewardgen.bench import draw_learning, measure_learning

    given = parse_assignments(assignments)
    if others := [key for key in given if not key.startswith("training.")]:
        raise UsageError(f"--set {others[0]}: only settings of training can be set for learning curves")
    configs = [
        config.load(overrides={"task": each.name} | given, task_defaults=each.training).training for each in tasks
    ]
    result = measure_learning(tasks, configs, trainers, range(seeds), results, threads=threads, say=note)
    if plot is not None:
        draw_learning(result, plot)
    if json:
        print_json(result)
        return
    for name, found in result.items():
        listing = table(name, *trainers, "below", right=tuple(trainers))
        for row, point in enumerate(found["points"][trainers[0]]):
            cells = [points[row] if row < len(points) else None for points in found["points"].values()]
            below = [other for other, rows in found["against"].items() if row < len(rows) and rows[row]["below"]]
            texts = [f"{c['mean']:,.0f} [{c['low']:,.0f}, {c['high']:,.0f}]" if c else "" for c in cells]
            listing.add_row(f"{point['steps']:,}", *texts, ", ".join(below))
        show(listing)
    note("mean return over the seeds and its 95 % interval; below: whose interval our mean lies below")


def _compare(
    task: Task, candidates: int, rounds: int, fresh: int, threads: int, assignments: list[str] | None, *, json: bool
) -> None:
    from rewardgen import config
    from rewardgen.search.comparison import compare_racing

    settings = {"task": task.name, "search.candidates": candidates, "threads": threads}
    loaded = config.load(overrides=settings | parse_assignments(assignments), task_defaults=task.training)
    each = 2 * candidates * loaded.search.seeds + 2 * fresh
    note(f"{each * rounds} trainings of {loaded.training.steps:,} steps at most")
    result = compare_racing(task, loaded, rounds=rounds, fresh=fresh, say=note)
    if json:
        print_json(result)
        return
    columns = ("stopped", "steps_all", "steps_racing", "steps_further", "to_best_all", "to_best_racing", "best_all",
               "best_racing", "gain", "seconds_all", "seconds_racing")  # fmt: skip
    listing = table("round", *(name.replace("_", " ") for name in columns), right=("round",))
    for number, each in enumerate(result["rounds"], start=1):
        listing.add_row(str(number), *(_shown(each[name]) for name in columns))
    show(listing)
    listing = table("what", "measured", "95 % interval", "meaning", right=("measured",))
    for name in ("same_best", "ratio", "ratio_whole", "shortfall", "gain"):
        low, high = result["intervals"].get(name, (math.nan, math.nan))
        told = f"{_shown(low)} to {_shown(high)}" if math.isfinite(low) else ""
        listing.add_row(name, _shown(result[name]), told, _MEANING[name])
    show(listing)


def _shown(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
