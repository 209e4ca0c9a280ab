"""``rewardgen tasks``: list the tasks, or show one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rewardgen.cli.options import Envs, Json, folders
from rewardgen.cli.output import note, print_json, safe, show, table, write
from rewardgen.text import unit_suffix

if TYPE_CHECKING:
    from rewardgen.tasks import Task
    from rewardgen.tasks.catalogue import Listed


def tasks(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this task.")] = None,
    envs: Envs = None,
    json: Json = False,
) -> None:
    """List the tasks, or show one: its fields, its fitness, the source of its expert reward."""
    # One task
    places = folders(envs)
    if name is not None:
        from rewardgen.tasks import load_task

        facts = describe(load_task(name, places))
        print_json(facts) if json else _show_one(facts)
        return
    # All tasks, with a warning about files that register none
    from rewardgen.tasks import catalogue

    known = catalogue(places)
    for path in known.without:
        note(
            f"{path} registers no task, but is executed as a task file; start its name with an underscore, or name it "
            "in a declaration's environment.imports"
        )
    declarations = [declared(task) for task in known.tasks]
    if json:
        print_json({"tasks": declarations})
        return
    listing = table("task", "group", "fields", "steps", "success from", right=("fields", "steps", "success from"))
    for facts in declarations:
        if "missing" in facts:
            listing.add_row(safe(facts["name"]), safe(facts["group"]), "", "", safe(f"needs {facts['install']}"))
            continue
        threshold = f"{facts['success_threshold']:g}{unit_suffix(facts['fitness_unit'])}"
        listing.add_row(
            safe(facts["name"]), safe(facts["group"]), str(len(facts["fields"])), str(facts["horizon"]), safe(threshold)
        )
    show(listing)
    write("\n`rewardgen tasks NAME` shows one task in detail.", style="dim")


def declared(task: Listed) -> dict[str, Any]:
    """Return what ``--json`` prints of a task in the list."""
    missing = task.missing
    return {**task.facts, **({"missing": str(missing), "install": missing.install} if missing is not None else {})}


def describe(task: Task) -> dict[str, Any]:
    """Return what ``--json`` prints of a single task."""
    from rewardgen.tasks import listed

    return {
        **declared(listed(task)),
        "action_low": task.action_low,
        "action_high": task.action_high,
        "control_step": round(task.control_step, 9),
        "frame_skip": task.frame_skip,
    }


def _show_one(facts: dict[str, Any]) -> None:
    """Print a task: its fields, then its episode, fitness and expert reward."""
    seconds = facts["horizon"] * facts["control_step"]
    write(facts["name"], style="bold")
    write(facts["description"])
    write()
    fields = table("field", "shape", "unit", "meaning")
    for field in facts["fields"]:
        shape = ", ".join(["n", *map(str, field["shape"])])
        fields.add_row(safe(field["name"]), f"({shape})", safe(field["unit"]), safe(field["meaning"]))
    show(fields)
    write()
    write(f"group      {facts['group']}")
    write(f"actions    {len(facts['action_low'])}, one every {facts['control_step']:g} s")
    write(f"episode    at most {facts['horizon']} control steps ({seconds:g} s)")
    write(f"fitness    {facts['fitness_meaning']}, in {facts['fitness_unit']}; "
          f"success from {facts['success_threshold']:g}{unit_suffix(facts['fitness_unit'])}")  # fmt: skip
    write(f"expert     {facts['expert_source']}")
    if facts["gymnasium_id"]:
        write(f"matches    {facts['gymnasium_id']}")
