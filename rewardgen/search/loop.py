"""The search: generations of rewards, each trained, measured and told to the author of the next.

Every stage first asks the store whether it was done already, so resuming a run is running it again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rewardgen import prompting, reflection
from rewardgen.errors import BudgetExceeded
from rewardgen.records import Outcome, TrainingResult, Turn
from rewardgen.search import finals, seeds
from rewardgen.search.method import Method
from rewardgen.search.run import Run
from rewardgen.search.screening import Screened, screen
from rewardgen.search.trainings import train_rewards


@dataclass(frozen=True)
class Scored:
    """A candidate at the end of its generation; ``score`` is None unless every one of its trainings has one."""

    key: str
    source: str | None
    score: float | None
    success_rate: float
    reflection: str


@dataclass(frozen=True)
class History:
    """What a search carries from one generation to the next."""

    parent: Scored | None = None
    turns: tuple[Turn, ...] = ()
    failures: tuple[Outcome, ...] = ()

    def after(self, best: Scored | None, outcomes: Sequence[Outcome], method: Method) -> History:
        """The history once a generation is over: with its best, or, when all failed, with the reasons."""
        if best is None:
            return replace(self, failures=tuple(outcomes))
        keep = method.parent == "run" and self.parent is not None and _score(self.parent) >= _score(best)
        if keep:
            return replace(self, failures=())
        turns = (*self.turns, Turn(best.source or "", best.reflection))
        return History(best, turns[max(0, len(turns) - method.history) :], ())


def search(run: Run) -> None:
    """Run all generations of all restarts, then measure the winner beside the expert and the sparse reward."""
    everyone: list[Scored] = []
    try:
        for restart in range(run.config.search.restarts):
            history = History()
            run.known.clear()  # restarts know nothing of each other
            for number in range(run.config.search.generations):
                history = generation(run, restart, number, history, everyone)
    except BudgetExceeded as limit:
        if best_of(everyone) is None:
            raise
        run.warn(f"no further generation: {limit}")
    winner = best_of(everyone)
    run.store.set_meta(winner=winner.key if winner else None)
    if winner is None:
        run.warn("no candidate could be trained, so there is no reward to report; see why in `rewardgen show`")
    finals.measure(run, winner.source if winner else None)


def generation(run: Run, restart: int, number: int, history: History, everyone: list[Scored]) -> History:
    """One generation: ask, screen, train, score, reflect, select. Appends its candidates to ``everyone``."""
    place = f"r{restart}g{number}"
    count = run.config.search.candidates
    keys = [f"{place}c{i}" for i in range(count)]
    messages = prompting.messages(run.task, history.turns, history.failures, run.prompts_dir)
    run.store.begin_generation(restart, number, messages)
    run.store.begin_candidates(restart, number, keys, history.parent.key if history.parent else None)
    run.say(
        "generation_started", restart=restart, generation=number, parent=history.parent.key if history.parent else None
    )

    run.budget.check_steps(
        count * run.config.search.seeds * run.config.training.steps, reserve=finals.planned_steps(run.config)
    )
    replies = run.ask(place, "generation", messages, count, seeds.derive(run.config.seed, "replies", restart, number))
    screened = screen(run, restart, number, keys, messages, replies)
    results = train_rewards(
        run,
        {key: candidate.program for key, candidate in screened.items() if candidate.program is not None},
        seeds.selection_seeds(run.config.seed, restart, number, run.config.search.seeds),
        what="generation",
    )
    outcomes = [outcome(key, screened[key], results.get(key, ())) for key in keys]
    scored = [score(run, item, screened[item.key], results.get(item.key, ()), outcomes) for item in outcomes]
    everyone += scored

    best = best_of(scored)
    run.store.finish_generation(restart, number, best.key if best else None)
    run.tick()
    run.say(
        "selected",
        restart=restart,
        generation=number,
        candidate=best.key if best else None,
        score=best.score if best else None,
    )
    return history.after(best, outcomes, run.method)


def outcome(key: str, screened: Screened, results: Sequence[TrainingResult]) -> Outcome:
    """How a candidate ended: the mean of its seeds' scores, or what was wrong with it."""
    scores = [result.score for result in results]
    mean = sum(scores) / len(scores) if scores else math.nan
    problems = tuple(run_problem for run_problem in screened.problems)
    problems += tuple(screened.training_problem(result) for result in results if result.status == "failed")
    return Outcome(key, mean if math.isfinite(mean) else None, problems)


def score(
    run: Run, item: Outcome, screened: Screened, results: Sequence[TrainingResult], outcomes: Sequence[Outcome]
) -> Scored:
    """Reflect on a candidate and keep its score."""
    status = "rejected" if screened.program is None else "trained" if item.score is not None else "failed"
    others = [other for other in outcomes if other.key != item.key]
    text = reflection.reflect(run.task, results, others) if status == "trained" else ""
    run.store.add_score(item.key, status, item.score, text)
    bests = [result.best for result in results if result.best is not None]
    success = sum(point.success_rate for point in bests) / len(bests) if bests else 0.0
    run.say("scored", candidate=item.key, score=item.score, success_rate=success, status=status)
    return Scored(item.key, screened.program.source if screened.program else None, item.score, success, text)


def best_of(candidates: Sequence[Scored]) -> Scored | None:
    """The candidate with the highest score, the first of equals; None when none has a finite one."""
    finite = [candidate for candidate in candidates if math.isfinite(_score(candidate))]
    return max(finite, key=_score, default=None)


def _score(candidate: Scored) -> float:
    return candidate.score if candidate.score is not None else math.nan
