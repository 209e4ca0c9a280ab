"""Prints what a sweep will take before it runs, and its state, for people and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rewardgen.cli.output import safe, show, table, write
from rewardgen.text import clock, count, short_number

if TYPE_CHECKING:
    from rewardgen.sweep import Amounts, Executor, Plan, Rates, SearchOutcome, SearchState, StoredSweep


def forecast(plan: Plan, rates: Rates, executor: Executor) -> dict[str, Any]:
    """Return what is left to do of ``plan`` and what it will take, as plain values."""
    from rewardgen.sweep import of_baselines, of_search, total, wall_hours
    from rewardgen.sweep.estimate import baselines_of, resolved
    from rewardgen.sweep.ledger import Ledger, budgeted, limits
    from rewardgen.sweep.ready import authors_missing
    from rewardgen.sweep.standing import standing

    # Which searches does the budget allow, given those that are finished?
    plan, most = budgeted(plan, rates, executor.threads)
    arms = [arm.name for arm in plan.arms]
    ledger = Ledger(limits(plan.spec.budgets, arms), [each.arm for each in plan.searches], most)
    stands = [standing(each) for each in plan.searches]
    for index, stand in enumerate(stands):
        if stand.status == "finished":
            ledger.ended(index, stand.spent)
    list(ledger.allowed())  # marks those that can never start
    # Each search: its settings, its status, what it will take
    searches, left = [], []
    for index, (planned, stand) in enumerate(zip(plan.searches, stands, strict=True)):
        settings = resolved(planned)
        amounts = of_search(settings.config, rates, executor.threads)
        status = "left out" if index in ledger.left_out else stand.status
        if status not in ("left out", "finished"):
            left.append((planned, amounts))
        searches.append(
            {
                "arm": planned.arm,
                "task": planned.task,
                "seed": planned.seed,
                "run": planned.run_dir,
                "method": planned.config.search.method,
                "model": planned.config.llm.label,
                "status": status,
                "message": ledger.left_out.get(index, ""),
                "amounts": amounts,
                "changes": [str(change) for change in settings.changes],
            }
        )
    # Baselines are measured once for all searches that share them
    shared = baselines_of([planned for planned, _ in left])
    measured = [of_baselines(planned.config, rates, executor.threads) for planned in shared.values()]
    everything = [*(amounts for _, amounts in left), *measured]
    # The measured speeds behind the estimate
    speeds = {
        planned.task: {
            "steps_per_second_and_processor": round(rates.of_task(planned.config)),
            "measured": rates.measured(planned.config),
        }
        for planned in plan.searches
    }
    models = {planned.config.llm.label for planned in plan.searches}
    return {
        "sweep": plan.name,
        "folder": plan.folder,
        "where": executor.describe(),
        "arms": arms,
        "tasks": list(dict.fromkeys(planned.task for planned in plan.searches)),
        "seeds": list(plan.spec.seeds),
        "searches": searches,
        "by_arm": {arm: total(amounts for planned, amounts in left if planned.arm == arm) for arm in arms},
        "baselines": {"kinds": len(shared), "amounts": total(measured)},
        "total": total(everything),
        "wall_hours": wall_hours(everything, executor.slots),
        "rates": {
            "runs": rates.runs,
            "tasks": speeds,
            "models": {m: rates.of_model(m) for m in models & set(rates.replies)},
        },
        "missing_tasks": plan.missing,
        "not_ready": authors_missing(plan),
    }


def show_forecast(document: dict[str, Any]) -> None:
    """Print a dry run."""
    # Title: the size of the sweep
    arms, tasks, seeds = document["arms"], document["tasks"], document["seeds"]
    searches = len(document["searches"])
    finished = sum(each["status"] == "finished" for each in document["searches"])
    left_out = [each for each in document["searches"] if each["status"] == "left out"]
    write(
        f"{document['sweep']}: {count(len(arms), 'arm')} × {count(len(tasks), 'task')} × {count(len(seeds), 'seed')} = "
        f"{count(searches, 'search', 'searches')}" + (f", {finished} of them finished" if finished else ""),
        style="bold",
    )
    write(f"in {document['folder']}, {document['where']}", style="dim")
    write(f"tasks: {', '.join(tasks)}; seeds: {', '.join(map(str, seeds))}", style="dim")
    write()
    # One row per arm, one for the baselines, and the sum
    numbers = ("searches", "trainings", "steps", "calls", "tokens", "dollars", "hours")
    listing = table("arm", "method", "author", *numbers, right=numbers)
    for arm in arms:
        of_arm = [each for each in document["searches"] if each["arm"] == arm]
        remaining = sum(each["status"] not in ("left out", "finished") for each in of_arm)
        listing.add_row(
            safe(arm),
            safe(Path(of_arm[0]["method"]).stem),
            safe(of_arm[0]["model"]),
            str(remaining),
            *_cells(document["by_arm"][arm]),
        )
    if document["baselines"]["kinds"]:
        listing.add_row("(expert, sparse)", "", "", "", *_cells(document["baselines"]["amounts"]))
    listing.add_row(
        "together", "", "", str(searches - finished - len(left_out)), *_cells(document["total"]), style="bold"
    )
    show(listing)
    write()
    # Time, and how the numbers were estimated
    write(f"About {clock(document['wall_hours'] * 3600)} from start to end.")
    write("Steps are upper limits; hours are the sum over searches. The expert's and the sparse reward are trained")
    write("once for each task and its settings.")
    write(_speeds(document))
    # Settings that were changed, and searches and tasks that are skipped
    for arm in arms:
        changes = dict.fromkeys(line for each in document["searches"] if each["arm"] == arm for line in each["changes"])
        for line in changes:
            write(f"{arm}: {line}", style="dim")
    for each in left_out[:3]:
        write(f"left out: {each['arm']}/{each['task']}/seed{each['seed']}: {each['message']}", style="yellow")
    if len(left_out) > 3:
        write(f"left out: … and {len(left_out) - 3} more", style="yellow")
    for task, why in document["missing_tasks"].items():
        write(f"without {task}: {why}", style="yellow")
    for arm, why in document["not_ready"].items():
        write(f"not ready: arm {arm!r}: {why}", style="yellow")


def _speeds(document: dict[str, Any]) -> str:
    """Return where the numbers come from: measured speeds, or assumed ones."""
    # Measured and assumed speeds apart
    tasks, runs = document["rates"]["tasks"], document["rates"]["runs"]
    measured = [
        f"{name} {facts['steps_per_second_and_processor']:,}" for name, facts in tasks.items() if facts["measured"]
    ]
    assumed = [
        f"{name} {facts['steps_per_second_and_processor']:,}" for name, facts in tasks.items() if not facts["measured"]
    ]
    parts = []
    if measured:
        parts.append(f"measured in {runs} earlier runs here: {', '.join(measured)}")
    if assumed:
        parts.append(f"{'from other tasks in them' if runs else 'assumed, without earlier runs'}: {', '.join(assumed)}")
    text = "Environment steps per second and CPU thread, " + "; ".join(parts) + "."
    # Models of which no earlier run has replies
    used = {each["model"] for each in document["searches"] if each["amounts"].calls}
    unknown = sorted(used - set(document["rates"]["models"]))
    if unknown:
        text += f" The length of replies is assumed for {', '.join(unknown)}."
    return text


def _cells(amounts: Amounts) -> tuple[str, ...]:
    """Return amounts as cells of a table; nothing for 0."""
    return (
        f"{amounts.trainings:,}",
        f"{amounts.steps:,}" if amounts.steps else "",
        f"{amounts.calls:,}" if amounts.calls else "",
        f"{amounts.tokens:,}" if amounts.tokens else "",
        "unknown" if amounts.dollars is None else f"{amounts.dollars:,.2f}" if amounts.dollars else "",
        f"{amounts.hours:.2f}" if amounts.hours >= 0.095 else f"{amounts.hours:.3f}",
    )


# ---- the state of a sweep


def sweep_document(
    summary: StoredSweep, standings: Sequence[SearchState], ended: Sequence[SearchOutcome] = ()
) -> dict[str, Any]:
    """Return the state of a sweep as plain values. ``ended`` adds what its stores do not know, such as crashes."""
    # What this process knows overrides the stores
    ends = {end.planned.key: end for end in ended}
    searches = []
    for stand in standings:
        end = ends.get(stand.planned.key)
        searches.append(
            {
                "arm": stand.planned.arm,
                "task": stand.planned.task,
                "seed": stand.planned.seed,
                "run": stand.planned.run_dir,
                "status": end.status if end is not None else stand.status,
                "message": (end.message if end is not None else "") or stand.message,
                "reused": end.reused if end is not None else None,
                "score": stand.score,
                "fitness_unit": stand.unit,
                "cost": stand.cost,
            }
        )
    return {
        "sweep": summary.name,
        "folder": summary.folder,
        "spec": summary.spec_file,
        "arms": summary.arms,
        "searches": searches,
    }


def show_sweep(summary: StoredSweep, standings: Sequence[SearchState]) -> None:
    """Print the state of a sweep, one line for each arm on each task."""
    # Title: how many searches have which status
    counts = {status: sum(stand.status == status for stand in standings) for status in _ORDER}
    status_counts = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    write(f"{summary.name}: {status_counts} of {len(standings)}", style="bold")
    write()
    listing = table(
        "task",
        "arm",
        "finished",
        "score by seed",
        "steps",
        "time",
        "cost",
        "",
        right=("finished", "steps", "time", "cost"),
    )
    # One row per task and arm
    for task in summary.tasks:
        for arm in summary.arms:
            states = [stand for stand in standings if (stand.planned.task, stand.planned.arm) == (task, arm)]
            if states:
                listing.add_row(*(safe(cell) for cell in _row(task, arm, states)))
    show(listing)
    write()
    # Why searches failed or were skipped
    for stand in standings:
        if stand.status in ("failed", "left out"):
            write(f"{stand.status}: {stand.planned.key}: {stand.message}", style="yellow")
    if counts["finished"]:
        write("Compare the arms:")
        write(f"  rewardgen report {shlex.quote(str(summary.folder))}")


_ORDER = ("finished", "running", "interrupted", "failed", "left out", "waiting")


def _row(task: str, arm: str, states: Sequence[SearchState]) -> tuple[str, ...]:
    """Return the cells of an arm on a task: its searches, their scores and their cost."""
    # Scores of finished searches, and what all of them used
    finished = [stand for stand in states if stand.status == "finished"]
    unit = next((stand.unit for stand in states if stand.unit), "")
    scores = ", ".join(short_number(stand.score.mean if stand.score is not None else None) for stand in finished)
    spent = [stand.spent for stand in states]
    dollars = sum(each.dollars or 0.0 for each in spent)
    others = [status for status in _ORDER[1:] if any(stand.status == status for stand in states)]
    return (
        task,
        arm,
        f"{len(finished)}/{len(states)}",
        f"{scores} {unit if unit != '1' else ''}".rstrip() if finished else "",
        f"{sum(each.steps for each in spent):,}",
        clock(3600 * sum(each.hours for each in spent)),
        f"${dollars:,.2f}" if dollars else "",
        ", ".join(f"{sum(stand.status == status for stand in states)} {status}" for status in others),
    )
