"""``rewardgen bench --learning``: compare learning curves with Stable-Baselines3's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rewardgen.cli.output import note, print_json, show, table
from rewardgen.cli.settings import task_configs

if TYPE_CHECKING:
    from rewardgen.tasks import Task


def compare_learning(
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
    """Train the curves or read them, print them, and draw them if ``plot`` is given.

    Raises:
        UsageError: ``assignments`` set something besides training.
    """
    from rewardgen.bench import draw_learning, measure_learning

    refusal = "--learning accepts only settings in training"
    configs = [each.training for each in task_configs(tasks, assignments, ("training.",), refusal)]
    result = measure_learning(tasks, configs, trainers, range(seeds), results, threads=threads, on_progress=note)
    if plot is not None:
        draw_learning(result, plot)
    if json:
        print_json(result)
        return
    # One table per task: a row per checkpoint, a column per trainer
    for name, found in result.items():
        listing = table(name, *trainers, "below", right=tuple(trainers))
        for row, point in enumerate(found["points"][trainers[0]]):
            cells = [points[row] if row < len(points) else None for points in found["points"].values()]
            below = [other for other, rows in found["against"].items() if row < len(rows) and rows[row]["below"]]
            texts = [f"{c['mean']:,.0f} [{c['low']:,.0f}, {c['high']:,.0f}]" if c else "" for c in cells]
            listing.add_row(f"{point['steps']:,}", *texts, ", ".join(below))
        show(listing)
    note("mean return over seeds with its 95 % interval; below: trainers whose interval lies above our mean")
