"""``rewardgen bench --discrimination``: measure how well trainings tell a fixed pool of rewards apart."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rewardgen.cli.output import note, print_json, safe, show, shown, table, write
from rewardgen.cli.settings import task_configs
from rewardgen.errors import UsageError

if TYPE_CHECKING:
    from rewardgen.tasks import Task


def compare_rewards(
    tasks: list[Task],
    seeds: int,
    rewards: Path | None,
    results: Path,
    together: int,
    threads: int,
    assignments: list[str] | None,
    plot: Path | None,
    *,
    json: bool,
) -> None:
    """Train the pools or read them, print how well their rewards are told apart, and draw it if ``plot`` is given.

    Raises:
        UsageError: ``assignments`` set something besides training and the sandbox; or as ``measure_discrimination``.
    """
    from rewardgen.bench import draw_discrimination, measure_discrimination

    refusal = "--discrimination accepts only settings in training and sandbox"
    configs = task_configs(tasks, assignments, ("training.", "sandbox."), refusal)
    # One folder of programs cannot be for several tasks
    if len(tasks) > 1 and rewards is not None and (rewards.is_file() or any(rewards.glob("*.py"))):
        raise UsageError(
            f"--rewards {rewards}: these are for one task; for several tasks, give a folder with one folder for each"
        )
    result = measure_discrimination(
        tasks, configs, range(seeds), results, rewards=rewards, together=together, threads=threads, on_progress=note
    )
    if plot is not None:
        draw_discrimination(result, plot)
    if json:
        print_json(result)
        return
    for name, found in result.items():
        _show_rewards(name, found)
        _show_steps(found)
    note(
        "ICC: share of the variance of scores that belongs to the rewards, for one seed, with its 95 % interval; "
        "shared seeds: without what a seed adds to all rewards alike; picked, k: how often the best by k seeds "
        "is the best by the other seeds; regret: how far it falls short of the best by its other seeds, in SDs of the "
        "pool"
    )


def _show_rewards(task: str, found: dict[str, Any]) -> None:
    """Print a task's rewards, best first, then those that failed or were skipped."""
    write(f"{task}: {len(found['rewards'])} rewards, {found['seeds']} seeds each", style="bold")
    listing = table("reward", "mean", "SD over seeds", "", right=("mean", "SD over seeds"))
    scored = [each for each in found["rewards"] if "mean" in each]
    for each in sorted(scored, key=lambda row: -row["mean"]):
        listing.add_row(safe(each["name"]), shown(each["mean"]), shown(each["sd"]), safe(each["about"]))
    for name, why in found["failed"].items():
        listing.add_row(safe(name), "failed", "", safe(why))
    for name, why in found["left_out"].items():
        listing.add_row(safe(name), "left out", "", safe(why))
    show(listing)
    write()


def _show_steps(found: dict[str, Any]) -> None:
    """Print how well the rewards are told apart after each number of steps."""
    # Columns: picks and regrets for each number of seeds
    rows = found["by_steps"]
    counts = [each["seeds"] for each in rows[0]["picks"]] if rows else []
    picked, regret = [f"picked, {k}" for k in counts], [f"regret, {k}" for k in counts]
    numbers = ("steps", "ICC", "shared seeds", "SD rewards", "SD seeds", *picked, *regret)
    listing = table(numbers[0], numbers[1], "95 % interval", *numbers[2:], right=numbers)
    # A row per checkpoint; shares are undefined if all scores are equal
    for row in rows:
        interval = f"{row['low']:.2f} to {row['high']:.2f}" if math.isfinite(row["icc"]) else ""
        listing.add_row(
            f"{row['steps']:,}",
            f"{row['icc']:.2f}" if math.isfinite(row["icc"]) else "all equal",
            interval,
            f"{row['icc_shared']:.2f}" if math.isfinite(row["icc_shared"]) else "",
            shown(row["between_sd"]),
            shown(row["within_sd"]),
            *(f"{each['best_elsewhere']:.0%}" for each in row["picks"]),
            *(f"{each['regret_elsewhere']:.2f}" for each in row["picks"]),
        )
    show(listing)
    write()
