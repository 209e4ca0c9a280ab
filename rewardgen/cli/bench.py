"""``rewardgen bench``: how fast this machine trains."""

from __future__ import annotations

from typing import Annotated

import typer

from rewardgen.cli.options import Envs, Json, folders
from rewardgen.cli.output import note, print_json, show, table

_MEANING = {
    "physics_steps_per_s": "environment steps a second of bare mj_step, the same batch",
    "train_steps_per_s": "environment steps a second of training",
    "sb3_steps_per_s": "the same of Stable-Baselines3's PPO with its defaults",
    "ratio_to_physics": "training / physics",
    "ratio_to_sb3": "training / Stable-Baselines3",
    "sandbox_share": "share of the training spent waiting for the sandbox",
    "checkpoint_share": "share of the training spent on checkpoints",
    "first_reward_ms": "milliseconds from a program's text to its first reward, the sandbox's server being warm",
}


def bench(
    task: Annotated[str, typer.Option("--task", metavar="TASK", help="What to train.")] = "cheetah/run",
    population: Annotated[int, typer.Option(min=1, help="Rewards trained together.")] = 8,
    updates: Annotated[int, typer.Option(min=1, help="Rollouts and updates that are timed.")] = 40,
    threads: Annotated[int, typer.Option(min=0, help="Processor threads; 0 is all.")] = 0,
    envs: Envs = None,
    json: Json = False,
) -> None:
    """Measure training against bare physics and against Stable-Baselines3, in one go. Takes a minute or so."""
    from rewardgen.bench import measure
    from rewardgen.tasks import load_task

    loaded = load_task(task, folders(envs))
    note("let nothing else run meanwhile")
    result = measure(loaded, population=population, updates=updates, threads=threads, say=note)
    if json:
        print_json(result)
        return
    listing = table("what", "measured", "meaning", right=("measured",))
    for name, value in result.items():
        listing.add_row(name, _shown(value), _MEANING.get(name, ""))
    show(listing)


def _shown(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
