"""The search: generations of rewards, each trained, measured and told to the author of the next.

Every stage first asks the store whether it was done already, so resuming a run is running it again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rewardgen import reflection
from rewardgen.errors import BudgetExceeded
from rewardgen.records import Outcome, TrainingResult
from rewardgen.search import authoring, finals, judging
from rewardgen.search.history import History
from rewardgen.search.legible import warn_if_unreadable
from rewardgen.search.run import Run
from rewardgen.search.screening import Screened, screen
from rewardgen.search.selection import Scored, best_of, compete, elect, intervals, planned_steps, winner_of


def search(run: Run) -> None:
    """Run all generations of all restarts, then measure the winner beside the expert and the sparse reward.

    Without a winner nothing is measured: there would be nothing to compare the other two with.
    """
    everyone: dict[str, Scored] = {}
    try:
        for restart in range(run.config.search.restarts):
            history = History()
            run.accepted.clear()  # restarts know nothing of each other
            for number in range(run.config.search.generations):
                history = generation(run, restart, number, history, everyone)
    except BudgetExceeded as limit:
        if best_of(everyone.values()) is None:
            raise
        run.warn(f"no further generation: {limit}")
    winner = winner_of(everyone.values())
    run.store.set_meta(winner=winner.key if winner else None)
    if winner is None or winner.source is None:
        run.warn("no reward found: no candidate could be trained; see why in `rewardgen show`")
        return
    finals.measure(run, winner.source)


def generation(run: Run, restart: int, number: int, history: History, everyone: dict[str, Scored]) -> History:
    """One generation: write, screen, train, score, judge, select, tell. Adds its candidates to ``everyone``."""
    keys = [f"r{restart}g{number}c{i}" for i in range(run.config.search.candidates)]
    orders = history.orders(run, restart, number, keys, everyone)
    parent = orders[0].parents[0] if orders[0].parents else None
    run.store.begin_generation(restart, number, orders[0].request.messages)
    run.store.begin_candidates(
        restart, number, {key: next(iter(order.parents), None) for order in orders for key in order.keys}
    )
    run.say("generation_started", restart=restart, generation=number, parent=parent)

    run.budget.check_steps(planned_steps(run.config), reserve=finals.planned_steps(run.config))
    drafts = authoring.write(run, restart, number, orders)
    screened = screen(run, restart, number, drafts)
    programs = {key: candidate.program for key, candidate in screened.items() if candidate.program is not None}
    results = compete(run, restart, number, programs)
    outcomes = [outcome(key, screened[key], results.get(key, ())) for key in keys]
    scored = score(run, screened, results, outcomes)
    everyone.update((item.key, item) for item in scored)

    scored = elect(run, restart, number, scored, results)
    keep_scores(run, screened, scored)
    everyone.update((item.key, item) for item in scored)
    verdict, judged = judging.judge(run, restart, number, scored, everyone)
    everyone.update(judged)
    best = winner_of(everyone[key] for key in keys)
    run.store.finish_generation(restart, number, best.key if best else None)
    warn_if_unreadable(run, restart, number)
    run.tick()
    run.say(
        "selected",
        restart=restart,
        generation=number,
        candidate=best.key if best else None,
        score=best.score if best else None,
    )
    if number + 1 == run.config.search.generations:
        return history  # nobody will be told
    return history.after(run, restart, number, orders, best, outcomes, everyone, verdict)


def outcome(key: str, screened: Screened, results: Sequence[TrainingResult]) -> Outcome:
    """How a candidate ended: the mean of its seeds' scores, or what was wrong with it."""
    scores = [result.score for result in results]
    mean = sum(scores) / len(scores) if scores else math.nan
    problems = screened.problems + tuple(
        screened.training_problem(result) for result in results if result.status == "failed"
    )
    stopped = any(result.status == "stopped" for result in results)
    return Outcome(key, mean if math.isfinite(mean) else None, problems, stopped)


def score(
    run: Run,
    screened: Mapping[str, Screened],
    results: Mapping[str, Sequence[TrainingResult]],
    outcomes: Sequence[Outcome],
) -> list[Scored]:
    """Reflect on every candidate and keep its score."""
    bounds = intervals(run, results)
    scored = []
    for item in outcomes:
        mine, program = results.get(item.key, ()), screened[item.key].program
        others = [other for other in outcomes if other.key != item.key]
        text = (
            reflection.reflect(run.task, mine, others, run.method.feedback, run.method.form)
            if item.score is not None
            else ""
        )
        bests = [result.best for result in mine if result.best is not None]
        success = sum(point.success_rate for point in bests) / len(bests) if bests else 0.0
        source = program.source if program is not None else None
        made = Scored(item.key, source, item.score, success, text, stopped=item.stopped)
        if item.score is not None:
            made = replace(made, low=bounds[item.key].low, high=bounds[item.key].high)
        scored.append(made)
    keep_scores(run, screened, scored)
    for made in scored:
        run.say(
            "scored",
            candidate=made.key,
            score=made.score,
            success_rate=made.success_rate,
            status=status_of(made, screened),
            stopped=made.stopped,
        )
    return scored


def keep_scores(run: Run, screened: Mapping[str, Screened], scored: Sequence[Scored]) -> None:
    for item in scored:
        run.store.add_score(item.key, status_of(item, screened), item.score, item.reflection, item.low, item.high)


def status_of(item: Scored, screened: Mapping[str, Screened]) -> str:
    return "rejected" if screened[item.key].program is None else "trained" if item.score is not None else "failed"
