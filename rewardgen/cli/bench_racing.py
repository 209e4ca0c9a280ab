"""``rewardgen bench --racing``: measure what racing saves and costs against training all to the end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rewardgen.cli.output import note, print_json, show, shown, table
from rewardgen.cli.settings import parse_assignments

if TYPE_CHECKING:
    from rewardgen.tasks import Task

# Column "meaning" of the measurements
_MEANING = {
    "same_best": "share of rounds in which the race found the same best reward",
    "shortfall": "share of the best reward's lead over the average that the race lost: 0 nothing, 1 all",
    "ratio": "steps of the race to the same best fitness / steps of training all to the end, if it found that reward",
    "ratio_whole": "all steps of the race, further seeds included / steps of training all to the end",
    "gain": "fitness of the race's pick on fresh seeds minus that of the pick from training all to the end",
}


def compare_races(
    task: Task, candidates: int, rounds: int, fresh: int, threads: int, assignments: list[str] | None, *, json: bool
) -> None:
    """Run the races and print a table of rounds and a table of results."""
    from rewardgen import config
    from rewardgen.bench import compare_racing

    # Train both ways
    settings = {"task": task.name, "search.candidates": candidates, "threads": threads}
    loaded = config.load(overrides=settings | parse_assignments(assignments), task_defaults=task.training)
    each = 2 * candidates * loaded.search.seeds + 2 * fresh
    note(f"at most {each * rounds} trainings of {loaded.training.steps:,} steps")
    result = compare_racing(task, loaded, rounds=rounds, fresh=fresh, on_progress=note)
    if json:
        print_json(result)
        return
    # One row per round
    columns = ("stopped", "steps_all", "steps_racing", "steps_further", "to_best_all", "to_best_racing", "best_all",
               "best_racing", "gain", "seconds_all", "seconds_racing")  # fmt: skip
    listing = table("round", *(name.replace("_", " ") for name in columns), right=("round",))
    for number, each in enumerate(result["rounds"], start=1):
        listing.add_row(str(number), *(shown(each[name]) for name in columns))
    show(listing)
    # The results over all rounds
    listing = table("what", "measured", "95 % interval", "meaning", right=("measured",))
    for name in ("same_best", "ratio", "ratio_whole", "shortfall", "gain"):
        low, high = result["intervals"].get(name, (math.nan, math.nan))
        interval = f"{shown(low)} to {shown(high)}" if math.isfinite(low) else ""
        listing.add_row(name, shown(result[name]), interval, _MEANING[name])
    show(listing)
