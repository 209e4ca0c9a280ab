"""``rewardgen bench --devices``: find the fastest arrangement of physics and learning on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rewardgen.cli.output import note, print_json, safe, show, table, write
from rewardgen.errors import UsageError

if TYPE_CHECKING:
    from rewardgen.tasks import Task


def compare_devices(
    task: Task,
    *,
    sim: str | None,
    device: str | None,
    worlds: str | None,
    candidates: int,
    updates: int,
    threads: int,
    json: bool,
) -> None:
    """Measure every arrangement and print a table.

    Raises:
        UsageError: ``worlds`` is not a list of numbers.
    """
    from rewardgen.bench.devices import WORLDS, measure_devices

    counts = _counts(worlds) if worlds is not None else WORLDS
    note("close other programs: they would slow the measurement down")
    result = measure_devices(
        task,
        sim=sim or "auto",
        device=device or "auto",
        worlds=counts,
        candidates=candidates,
        updates=updates,
        threads=threads,
        on_progress=note,
    )
    if json:
        print_json(result)
        return
    # One row per arrangement and number of worlds
    numbers = ("worlds", "physics/s", "training/s", "rollout", "labels", "learning")
    listing = table("arrangement", *numbers, "", right=numbers)
    for row in result["rows"]:
        shares = ("–" if row[part] is None else f"{row[part]:.1%}" for part in ("rollout", "labels", "learning"))
        rates = (_rate(row["physics_steps_per_s"]), _rate(row["train_steps_per_s"]))
        listing.add_row(row["arrangement"], f"{row['worlds']:,}", *rates, *shares, safe(row["message"]))
    show(listing)
    write(verdict(result))


def verdict(result: dict[str, Any]) -> str:
    """Return which arrangement is fastest, in a sentence or two."""
    fastest = result["fastest"]
    if fastest is None:
        return "no training could be measured; the table says why"
    return (
        f"the fastest here: {fastest['arrangement']}, {fastest['worlds']:,} worlds, "
        f"{fastest['train_steps_per_s']:,.0f} environment steps a second. One of its {result['candidates']} candidates "
        f"by itself takes {result['alone_steps_per_s']:,.0f}: together they are {result['together']:.1f} times as fast "
        "as one after another"
    )


def _counts(text: str) -> tuple[int, ...]:
    """Parse a list of numbers, such as "1024,4096"."""
    try:
        return tuple(int(part.replace("_", "")) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--worlds {text}: give numbers separated by commas, such as 1024,4096") from error


def _rate(value: float | None) -> str:
    """Return a speed as text; "–" if it was not measured."""
    return "–" if value is None else f"{value:,.0f}"
