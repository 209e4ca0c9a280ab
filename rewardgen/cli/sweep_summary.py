"""A sweep before it runs (what it will take) and where it stands: for people and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rewardgen.cli.output import safe, show, table, write
from rewardgen.text import clock, count, short_number

if TYPE_CHECKING:
    from rewardgen.sweep import Amounts, Ended, Executor, Kept, Plan, Rates, SearchState


def forecast(plan: Plan, rates: Rates, executor: Executor) -> dict[str, Any]:
    """What is left to do of ``plan`` and what it will take, as plain values."""
    from rewardgen.sweep import of_baselines, of_search, total, wall_hours
    from rewardgen.sweep.estimate import baselines_of, resolved
    from rewardgen.sweep.ledger import Ledger, budgeted, limits
    from rewardgen.sweep.ready import authors_missing
    from rewardgen.sweep.standing import standing

    plan, most = budgeted(plan, rates, executor.threads)
    arms = [arm.name for arm in plan.arms]
    ledger = Ledger(limits(plan.spec.budgets, arms), [each.arm for each in plan.searches], most)
    stands = [standing(each) for each in plan.searches]
    for index, stand in enumerate(stands):
        if stand.status == "finished":
            ledger.ended(index, stand.spent)
    list(ledger.allowed())  # finds those that can never begin
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
    shared = baselines_of([planned for planned, _ in left])
    measured = [of_baselines(planned.config, rates, executor.threads) for planned in shared.values()]
    everything = [*(amounts for _, amounts in left), *measured]
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


def show_forecast(told: dict[str, Any]) -> None:
    """A dry run, for people."""
    arms, tasks, seeds = told["arms"], told["tasks"], told["seeds"]
    searches = len(told["searches"])
    finished = sum(each["status"] == "finished" for each in told["searches"])
    left_out = [each for each in told["searches"] if each["status"] == "left out"]
    write(
        f"{told['sweep']}: {count(len(arms), 'arm')} × {count(len(tasks), 'task')} × {count(len(seeds), 'seed')} = "
        f"{count(searches, 'search', 'searches')}" + (f", {finished} of them finished" if finished else ""),
        style="bold",
    )
    write(f"in {told['folder']}, {told['where']}", style="dim")
    write(f"tasks: {', '.join(tasks)}; seeds: {', '.join(map(str, seeds))}", style="dim")
    write()
    numbers = ("searches", "trainings", "steps", "calls", "tokens", "dollars", "hours")
    listing = table("arm", "method", "author", *numbers, right=numbers)
    for arm in arms:
        mine = [each for each in told["searches"] if each["arm"] == arm]
        going = sum(each["status"] not in ("left out", "finished") for each in mine)
        listing.add_row(
            safe(arm),
            safe(Path(mine[0]["method"]).stem),
            safe(mine[0]["model"]),
            str(going),
            *_cells(told["by_arm"][arm]),
        )
    if told["baselines"]["kinds"]:
        listing.add_row("(expert, sparse)", "", "", "", *_cells(told["baselines"]["amounts"]))
    listing.add_row("together", "", "", str(searches - finished - len(left_out)), *_cells(told["total"]), style="bold")
    show(listing)
    write()
    write(f"About {clock(told['wall_hours'] * 3600)} from start to end.")
    write(
        "Steps are the most that can be taken, hours those of the searches added up. The expert's and the sparse reward"
    )
    write("are trained once for each task and its settings.")
    write(_speeds(told))
    for arm in arms:
        changes = dict.fromkeys(line for each in told["searches"] if each["arm"] == arm for line in each["changes"])
        for line in changes:
            write(f"{arm}: {line}", style="dim")
    for each in left_out[:3]:
        write(f"left out: {each['arm']}/{each['task']}/seed{each['seed']}: {each['message']}", style="yellow")
    if len(left_out) > 3:
        write(f"left out: … and {len(left_out) - 3} more", style="yellow")
    for task, why in told["missing_tasks"].items():
        write(f"without {task}: {why}", style="yellow")
    for arm, why in told["not_ready"].items():
        write(f"not ready: arm {arm!r}: {why}", style="yellow")


def _speeds(told: dict[str, Any]) -> str:
    """Where the numbers come from."""
    tasks, runs = told["rates"]["tasks"], told["rates"]["runs"]
    measured = [
        f"{name} {facts['steps_per_second_and_processor']:,}" for name, facts in tasks.items() if facts["measured"]
    ]
    assumed = [
        f"{name} {facts['steps_per_second_and_processor']:,}" for name, facts in tasks.items() if not facts["measured"]
    ]
    parts = []
    if measured:
        parts.append(f"measured in earlier runs here ({runs} looked at): {', '.join(measured)}")
    if assumed:
        parts.append(
            f"{'from other tasks in them' if runs else 'assumed, for want of earlier runs'}: {', '.join(assumed)}"
        )
    text = "Environment steps a second on one processor, " + "; ".join(parts) + "."
    asked = {each["model"] for each in told["searches"] if each["amounts"].calls}
    unknown = sorted(asked - set(told["rates"]["models"]))
    if unknown:
        text += f" The length of replies is assumed for {', '.join(unknown)}."
    return text


def _cells(amounts: Amounts) -> tuple[str, ...]:
    return (
        f"{amounts.trainings:,}",
        f"{amounts.steps:,}" if amounts.steps else "",
        f"{amounts.calls:,}" if amounts.calls else "",
        f"{amounts.tokens:,}" if amounts.tokens else "",
        "unknown" if amounts.dollars is None else f"{amounts.dollars:,.2f}" if amounts.dollars else "",
        f"{amounts.hours:.2f}" if amounts.hours >= 0.095 else f"{amounts.hours:.3f}",
    )


# ---- where a sweep stands


def described(kept: Kept, standings: Sequence[SearchState], ended: Sequence[Ended] = ()) -> dict[str, Any]:
    """Where a sweep stands, as plain values. ``ended`` adds what its stores do not know, such as crashes."""
    ends = {end.planned.key: end for end in ended}
    found = []
    for stand in standings:
        end = ends.get(stand.planned.key)
        found.append(
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
    return {"sweep": kept.name, "folder": kept.folder, "spec": kept.spec_file, "arms": kept.arms, "searches": found}


def show_sweep(kept: Kept, standings: Sequence[SearchState]) -> None:
    """Where a sweep stands, one line for each arm on each task."""
    counts = {status: sum(stand.status == status for stand in standings) for status in _ORDER}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    write(f"{kept.name}: {told} of {len(standings)}", style="bold")
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
    for task in kept.tasks:
        for arm in kept.arms:
            mine = [stand for stand in standings if (stand.planned.task, stand.planned.arm) == (task, arm)]
            if mine:
                listing.add_row(*(safe(cell) for cell in _row(task, arm, mine)))
    show(listing)
    write()
    for stand in standings:
        if stand.status in ("failed", "left out"):
            write(f"{stand.status}: {stand.planned.key}: {stand.message}", style="yellow")
    if counts["finished"]:
        write("Compare the arms:")
        write(f"  rewardgen report {shlex.quote(str(kept.folder))}")


_ORDER = ("finished", "running", "interrupted", "failed", "left out", "waiting")


def _row(task: str, arm: str, mine: Sequence[SearchState]) -> tuple[str, ...]:
    finished = [stand for stand in mine if stand.status == "finished"]
    unit = next((stand.unit for stand in mine if stand.unit), "")
    scores = ", ".join(short_number(stand.score.mean if stand.score is not None else None) for stand in finished)
    spent = [stand.spent for stand in mine]
    dollars = sum(each.dollars or 0.0 for each in spent)
    others = [status for status in _ORDER[1:] if any(stand.status == status for stand in mine)]
    return (
        task,
        arm,
        f"{len(finished)}/{len(mine)}",
        f"{scores} {unit if unit != '1' else ''}".rstrip() if finished else "",
        f"{sum(each.steps for each in spent):,}",
        clock(3600 * sum(each.hours for each in spent)),
        f"${dollars:,.2f}" if dollars else "",
        ", ".join(f"{sum(stand.status == status for stand in mine)} {status}" for status in others),
    )
