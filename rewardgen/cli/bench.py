"""``rewardgen bench``: measure how fast this machine trains, and how well."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rewardgen.cli.options import Device, Envs, Json, Physics, folders
from rewardgen.cli.output import note, print_json, show, shown, table
from rewardgen.cli.settings import Set
from rewardgen.errors import UsageError

if TYPE_CHECKING:
    from rewardgen.tasks import Task

# Column "meaning" of the measurements
_MEANING = {
    "physics_steps_per_s": "environment steps per second of bare mj_step: the same batch, with the training's commands",
    "physics_random_steps_per_s": "the same with uniformly random commands",
    "train_steps_per_s": "environment steps per second of training",
    "sb3_steps_per_s": "the same for Stable-Baselines3's PPO with its defaults",
    "envpool_steps_per_s": "the same for Stable-Baselines3's PPO on EnvPool's worlds with our networks and epochs",
    "ratio_to_physics": "training / physics",
    "ratio_to_physics_random": "training / physics under random commands",
    "ratio_to_sb3": "training / Stable-Baselines3",
    "ratio_to_envpool": "training / Stable-Baselines3 on EnvPool",
    "rollout_share": "share of the training spent on physics and acting",
    "learning_share": "share of the training spent on updates",
    "checkpoint_share": "share of the training spent on checkpoints",
    "sandbox_share": "share of the training spent waiting for the sandbox",
    "first_reward_ms": "milliseconds from a program's text to its first reward, with the sandbox's server running",
}


def bench(
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            metavar="TASK",
            help="Task to train [default: cheetah/run]; repeatable with --learning and --discrimination.",
        ),
    ] = None,
    population: Annotated[int, typer.Option(min=1, help="Number of rewards that train together.")] = 8,
    updates: Annotated[int, typer.Option(min=1, help="Number of rollouts and updates that are timed.")] = 40,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all.")] = 0,
    envpool: Annotated[
        Path | None,
        typer.Option(
            metavar="PYTHON",
            help="Also time Stable-Baselines3 on EnvPool, with this interpreter, which must have both.",
        ),
    ] = None,
    racing: Annotated[
        bool,
        typer.Option("--racing", help="Instead: compare racing with training all to the end. Takes as long as both."),
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="With --racing: number of races, each with other rewards.")] = 1,
    fresh: Annotated[
        int, typer.Option(min=0, help="With --racing: fresh training seeds on which the two picks are compared.")
    ] = 2,
    learning: Annotated[
        bool, typer.Option("--learning", help="Instead: compare learning curves with Stable-Baselines3's. Takes hours.")
    ] = False,
    discrimination: Annotated[
        bool,
        typer.Option(
            "--discrimination", help="Instead: how well trainings tell a fixed pool of rewards apart. Takes hours."
        ),
    ] = False,
    rewards: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="With --discrimination: a language model's rewards, a recording (.jsonl) or a folder of programs "
            "(.py) [default: tests/replies in a source checkout].",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --learning: seeds of each trainer [default: 8]; with --discrimination: of each "
            "reward [default: 4].",
        ),
    ] = None,
    trainer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="With --learning: population, sb3-matched or sb3 [default: the first two]."),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the curves of --learning and --discrimination, which are not trained again "
            "[default: runs/learning or runs/discrimination].",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the measurements: FILE.svg, FILE.pdf or FILE.png. Not with --racing."),
    ] = None,
    devices: Annotated[
        bool, typer.Option("--devices", help="Instead: every arrangement of physics and learning on this machine.")
    ] = False,
    sim: Physics = None,
    device: Device = None,
    worlds: Annotated[
        str | None,
        typer.Option(metavar="N,N,…", help="With --devices: total numbers of worlds to measure."),
    ] = None,
    set_: Set = None,
    envs: Envs = None,
    json: Json = False,
) -> None:
    """Compare the speed of training with bare physics and with Stable-Baselines3. Takes a minute or two.

    With --racing, measure how many environment steps a race needs to reach the best fitness that the same rewards reach
    when all of them train to the end. With --learning, train the expert's reward with many seeds and compare the curves
    with those of Stable-Baselines3's PPO at equal steps. With --discrimination, train a pool of good and bad rewards
    with several seeds each and print how much of the variance of their scores belongs to the rewards. The last two
    continue where they were interrupted.
    """
    from rewardgen.tasks import load_task

    loaded = [load_task(name, folders(envs)) for name in task or ["cheetah/run"]]
    # The flags that choose what is measured, each with its own options
    if rewards is not None and not discrimination:
        raise UsageError("--rewards goes with --discrimination")
    if learning:
        from rewardgen.cli.bench_learning import compare_learning

        chosen = trainer or ["population", "sb3-matched"]
        folder = results or Path("runs/learning")
        compare_learning(loaded, chosen, seeds or 8, folder, threads, set_, plot, json=json)
        return
    if discrimination:
        from rewardgen.cli.bench_discrimination import compare_rewards

        folder = results or Path("runs/discrimination")
        compare_rewards(loaded, seeds or 4, rewards, folder, population, threads, set_, plot, json=json)
        return
    if len(loaded) > 1:
        raise UsageError("several tasks go with --learning and --discrimination alone")
    if devices:
        from rewardgen.cli.bench_devices import compare_devices

        wanted = {"sim": sim, "device": device, "worlds": worlds}
        compare_devices(loaded[0], **wanted, candidates=population, updates=updates, threads=threads, json=json)
        return
    if sim or device or worlds:
        raise UsageError("--sim, --device and --worlds go with --devices")
    if racing:
        from rewardgen.cli.bench_racing import compare_races

        compare_races(loaded[0], population, rounds, fresh, threads, set_, json=json)
        return
    if set_:
        raise UsageError(
            "--set goes with --racing, --learning and --discrimination; "
            "the rest is measured with the task's own settings"
        )
    _time(loaded[0], population, updates, threads, envpool, plot, json=json)


def _time(
    task: Task, population: int, updates: int, threads: int, envpool: Path | None, plot: Path | None, *, json: bool
) -> None:
    """Measure the speed of training and print it."""
    from rewardgen.bench import draw_throughput, measure

    # Measure, then draw and print
    note("close other programs: they would slow the measurement down")
    result = measure(task, population=population, updates=updates, threads=threads, envpool=envpool, on_progress=note)
    if plot is not None:
        draw_throughput(result, plot)
    if json:
        print_json(result)
        return
    listing = table("what", "measured", "meaning", right=("measured",))
    by_members = result.pop("scaling")
    for name, value in result.items():
        listing.add_row(name, shown(value), _MEANING.get(name, ""))
    # Populations of other sizes
    for members, rate in by_members.items():
        listing.add_row(f"scaling: {members}", shown(rate), f"the same as train_steps_per_s, {members} together")
    show(listing)
