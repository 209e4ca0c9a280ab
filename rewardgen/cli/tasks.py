"""``rewardgen tasks``: which tasks there are, and all about one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rewardgen.cli.options import Envs, Json, folders
from rewardgen.cli.output import note, print_json, safe, show, table, write
from rewardgen.text import unit_suffix

if TYPE_CHECKING:
    from rewardgen.tasks import Task


def tasks(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show all about this one.")] = None,
    envs: Envs = None,
    json: Json = False,
) -> None:
    """List the tasks, or show one: its fields, its fitness, where its expert reward comes from."""
    from rewardgen.tasks import declared_tasks, files_without_tasks, load_task

    places = folders(envs)
    if name is not None:
        facts = describe(load_task(name, places))
        print_json(facts) if json else _show_one(facts)
        return
    for path in files_without_tasks(places):
        note(
            f"{path} registers no task, but is executed as a task file; start its name with an underscore, or name it "
            "in a declaration's environment.imports"
        )
    found = [declared(task) for task in declared_tasks(places)]
    if json:
        print_json({"tasks": found})
        return
    listing = table("task", "group", "fields", "steps", "success from", right=("fields", "steps", "success from"))
    for facts in found:
        if "missing" in facts:
            listing.add_row(safe(facts["name"]), safe(facts["group"]), "", "", safe(f"needs {facts['install']}"))
            continue
        threshold = f"{facts['success_threshold']:g}{unit_suffix(facts['fitness_unit'])}"
        listing.add_row(
            safe(facts["name"]), safe(facts["group"]), str(len(facts["fields"])), str(facts["horizon"]), safe(threshold)
        )
    show(listing)
    write("\n`rewardgen tasks NAME` shows all about one of them.", style="dim")


def declared(task: Task | type[Task]) -> dict[str, Any]:
    """What a task's file declares: all that can be said without compiling a model or starting an environment."""
    return {
        "name": task.name,
        "group": task.group,
        "description": " ".join(task.description.split()),
        "fields": [field.facts for field in task.fields if not field.hidden],
        "horizon": task.horizon,
        "fitness_unit": task.fitness_unit,
        "fitness_meaning": task.fitness_meaning,
        "success_threshold": task.success_threshold,
        "expert_source": task.expert_source,
        "gymnasium_id": task.gymnasium_id,
        "training": dict(task.training),
        **({"missing": str(missing), "install": missing.install} if (missing := task.missing()) is not None else {}),
    }


def describe(task: Task) -> dict[str, Any]:
    """What ``--json`` says of a single task."""
    return {
        **declared(task),
        "action_low": task.action_low,
        "action_high": task.action_high,
        "control_step": round(task.control_step, 9),
        "frame_skip": task.frame_skip,
    }


def _show_one(facts: dict[str, Any]) -> None:
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
