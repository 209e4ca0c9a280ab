"""Runs a sweep, or goes on with it: what is finished is reused, what is broken taken up, what failed retried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from rewardgen.errors import RunLocked, StoreError
from rewardgen.search import Event
from rewardgen.sim.machine import machine
from rewardgen.store.database import translated
from rewardgen.sweep.estimate import baselines_of
from rewardgen.sweep.events import JobEnded, JobRetried, SearchLeftOut, SweepStarted
from rewardgen.sweep.executor import Executor, Finished, Job
from rewardgen.sweep.ledger import Ledger, budgeted, limits
from rewardgen.sweep.plan import Plan, Planned, is_sweep, read_plan, write_plan
from rewardgen.sweep.rates import Rates, measured_rates
from rewardgen.sweep.standing import SearchState, checked, standing, write_ends

LOCK_NAME = "sweep.lock"


@dataclass(frozen=True)
class Ended:
    """How a search of a sweep ended. ``reused``: it was finished before; ``message`` says why it is not finished."""

    planned: Planned
    status: Literal["finished", "failed", "left out"]
    message: str = ""
    reused: bool = False


Watch = Callable[[Job | None, Event], None]
"""Told of each job's events (``search.events``, ``sweep.events``), and without a job of the sweep's own."""


def unwatched(job: Job | None, event: Event) -> None:
    """The watch that nobody reads."""


def rates_of(plan: Plan, out: Path) -> Rates:
    """The rates that a sweep is planned by: what is measured by now.

    Where it has budgets, they are those that it began with, so that it deals those out as it did before.
    """
    if limits(plan.spec.budgets, [arm.name for arm in plan.arms]) and is_sweep(plan.folder):
        try:
            return Rates.of(read_plan(plan.folder).rates)
        except (StoreError, KeyError, TypeError, ValueError):
            pass  # it is written anew
    return measured_rates(out)


def run_sweep(
    plan: Plan, executor: Executor, *, baselines: Path, rates: Rates, threads: int, watch: Watch = unwatched
) -> list[Ended]:
    """Do all of ``plan`` that is not done.

    Args:
        baselines: the folder of baselines that all searches share.
        rates: what budgets are dealt out by.
        threads: processors of each search.

    Returns:
        How each search ended, in the plan's order.

    Raises:
        ConfigError: a search's folder holds one with other settings.
        RunLocked: a live process works on this sweep.
        StoreError: the sweep's folder cannot be written.
        KeyboardInterrupt: somebody pressed Ctrl-C; every search has stopped.
    """
    with translated(plan.folder):
        plan.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(plan.folder / LOCK_NAME)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RunLocked(
                f"a live process is working on the sweep in {plan.folder}; wait for it, or stop it"
            ) from error
    try:
        stands = [checked(planned) for planned in plan.searches]
        plan, most = budgeted(plan, rates, threads)
        write_plan(plan, rates.document(), machine())
        return _Driver(plan, most, stands, baselines, watch).run(executor)
    finally:
        lock.release()


class _Driver:
    def __init__(
        self, plan: Plan, most: list[dict[str, float]], stands: Sequence[SearchState], baselines: Path, watch: Watch
    ) -> None:
        self._plan, self._baselines, self._watch = plan, baselines, watch
        arms = [planned.arm for planned in plan.searches]
        self._ledger = Ledger(limits(plan.spec.budgets, list(dict.fromkeys(arms))), arms, most)
        self._ended: dict[int, Ended] = {}
        self._running: dict[str, int] = {}
        self._attempts = [0] * len(plan.searches)
        self._told: set[int] = set()
        for index, (planned, found) in enumerate(zip(plan.searches, stands, strict=True)):
            if found.status == "finished":
                self._end(index, Ended(planned, "finished", reused=True), found)
        missing = [planned for index, planned in enumerate(plan.searches) if index not in self._ended]
        self._measure = [self._baseline_job(n, each) for n, each in enumerate(baselines_of(missing).values())]

    def run(self, executor: Executor) -> list[Ended]:
        reused = tuple(ended.planned.key for ended in self._ended.values())
        searches, where = len(self._plan.searches), executor.describe()
        self._watch(None, SweepStarted(searches, len(reused), reused, len(self._measure), where))
        try:
            for finished in executor.run(self._take, self._watch):
                self._note(finished)
                self._keep()
        finally:
            self._keep()
        return [
            self._ended.get(index) or Ended(planned, "left out", self._ledger.left_out.get(index, ""))
            for index, planned in enumerate(self._plan.searches)
        ]

    def _take(self) -> Job | None:
        """Baselines first, so that searches find them; then searches, those that failed before after the others."""
        if self._measure:
            return self._measure.pop(0)
        allowed = list(self._ledger.allowed())
        for index, why in self._ledger.left_out.items():
            if index not in self._told:
                self._told.add(index)
                self._watch(None, SearchLeftOut(self._plan.searches[index].key, why))
        under_way = set(self._running.values())
        ready = [index for index in allowed if index not in under_way]
        if not ready:
            return None
        index = min(ready, key=lambda index: (self._attempts[index], index))
        planned = self._plan.searches[index]
        self._running[planned.key] = index
        return Job(
            planned.key,
            "search",
            planned.config,
            planned.run_dir,
            self._baselines,
            planned.prompts_dir,
            planned.envs,
        )

    def _note(self, finished: Finished) -> None:
        job = finished.job
        if job.kind == "baselines":
            status = "finished" if finished.ok else "failed"
            self._watch(job, JobEnded(status, finished.error, finished.message))
            return
        index = self._running.pop(job.key)
        planned, found = self._plan.searches[index], _look(self._plan.searches[index])
        error, message = finished.error, finished.message
        if finished.ok and found.status != "finished":
            error, message = "StoreError", f"the search in {planned.run_dir} ended, but its store says {found.status}"
        if not error:
            self._end(index, Ended(planned, "finished"), found)
        elif not finished.lasting and self._attempts[index] < self._plan.spec.retries:
            self._attempts[index] += 1
            self._watch(job, JobRetried(error, message, self._attempts[index]))
            return
        else:
            self._end(index, Ended(planned, "failed", f"{error}: {message}"), found)
        self._watch(job, JobEnded(self._ended[index].status, error, message))

    def _keep(self) -> None:
        """Keep what no search's own store may know."""
        ends: dict[str, tuple[str, str]] = {}
        for each in self._ended.values():
            if each.status == "failed":
                ends[each.planned.key] = (each.status, each.message)
        for index, why in self._ledger.left_out.items():
            ends[self._plan.searches[index].key] = ("left out", why)
        write_ends(self._plan.folder, ends)

    def _end(self, index: int, ended: Ended, found: SearchState) -> None:
        self._ended[index] = ended
        self._ledger.ended(index, found.spent)

    def _baseline_job(self, number: int, planned: Planned) -> Job:
        config = planned.config.model_copy(update={"seed": 0})
        key = f"baselines/{planned.task}/{number}"
        return Job(key, "baselines", config, self._plan.folder, self._baselines, None, planned.envs)


def _look(planned: Planned) -> SearchState:
    """Where a search stands; one whose store cannot be read has failed."""
    try:
        return standing(planned)
    except StoreError as error:
        return replace(SearchState(planned, "failed"), message=str(error))
