"""Runs a sweep or continues it: finished searches are reused, interrupted ones continued, failed ones retried."""

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
class SearchOutcome:
    """How a search of a sweep ended. ``reused``: it was finished before; ``message``: why it is not finished."""

    planned: Planned
    status: Literal["finished", "failed", "left out"]
    message: str = ""
    reused: bool = False


Watch = Callable[[Job | None, Event], None]
"""Called with each job's events (``search.events``, ``sweep.events``), and with None and the sweep's own events."""


def unwatched(job: Job | None, event: Event) -> None:
    """Ignore all events."""


def rates_of(plan: Plan, out: Path) -> Rates:
    """Return the rates that a sweep is planned with: those measured by now.

    A sweep with budgets keeps the rates that it began with, so that it divides the budgets as it did before.
    """
    if limits(plan.spec.budgets, [arm.name for arm in plan.arms]) and is_sweep(plan.folder):
        try:
            return Rates.of(read_plan(plan.folder).rates)
        except (StoreError, KeyError, TypeError, ValueError):
            pass  # the file is damaged, and will be written again
    return measured_rates(out)


def run_sweep(
    plan: Plan, executor: Executor, *, baselines: Path, rates: Rates, threads: int, watch: Watch = unwatched
) -> list[SearchOutcome]:
    """Run everything in ``plan`` that is not finished.

    Args:
        baselines: the folder of baselines that all searches share.
        rates: the speeds by which budgets are divided.
        threads: CPU threads of each search.

    Returns:
        How each search ended, in the plan's order.

    Raises:
        ConfigError: a search's folder holds a search with other settings.
        RunLocked: a running process works on this sweep.
        StoreError: the sweep's folder cannot be written.
        KeyboardInterrupt: the user pressed Ctrl-C; every search has stopped.
    """
    # One process at a time
    with translated(plan.folder):
        plan.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(plan.folder / LOCK_NAME)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RunLocked(
                f"another process is working on the sweep in {plan.folder}; wait for it, or stop it"
            ) from error
    try:
        # Look at what there is, divide the budgets, write the plan, and work
        states = [checked(planned) for planned in plan.searches]
        plan, most = budgeted(plan, rates, threads)
        write_plan(plan, rates.document(), machine())
        return _Driver(plan, most, states, baselines, watch).run(executor)
    finally:
        lock.release()


class _Driver:
    """Hands out a sweep's jobs and records how they end."""

    def __init__(
        self, plan: Plan, most: list[dict[str, float]], states: Sequence[SearchState], baselines: Path, watch: Watch
    ) -> None:
        self._plan, self._baselines, self._watch = plan, baselines, watch
        arms = [planned.arm for planned in plan.searches]
        self._ledger = Ledger(limits(plan.spec.budgets, list(dict.fromkeys(arms))), arms, most)
        self._ended: dict[int, SearchOutcome] = {}
        self._running: dict[str, int] = {}
        self._attempts = [0] * len(plan.searches)
        self._reported: set[int] = set()
        # Searches that are finished count against the budgets
        for index, (planned, state) in enumerate(zip(plan.searches, states, strict=True)):
            if state.status == "finished":
                self._end(index, SearchOutcome(planned, "finished", reused=True), state)
        # Baselines that the other searches need
        missing = [planned for index, planned in enumerate(plan.searches) if index not in self._ended]
        self._measure = [self._baseline_job(n, each) for n, each in enumerate(baselines_of(missing).values())]

    def run(self, executor: Executor) -> list[SearchOutcome]:
        """Carry out all jobs; return how each search ended, in the plan's order."""
        # Report what there is to do, then do it; write how searches ended after each one
        reused = tuple(ended.planned.key for ended in self._ended.values())
        searches, where = len(self._plan.searches), executor.describe()
        self._watch(None, SweepStarted(searches, len(reused), reused, len(self._measure), where))
        try:
            for finished in executor.run(self._take, self._watch):
                self._record(finished)
                self._write_ends()
        finally:
            self._write_ends()
        return [
            self._ended.get(index) or SearchOutcome(planned, "left out", self._ledger.left_out.get(index, ""))
            for index, planned in enumerate(self._plan.searches)
        ]

    def _take(self) -> Job | None:
        """Return the next job: baselines first, so that searches find them; retries after first attempts."""
        if self._measure:
            return self._measure.pop(0)
        # Report searches that the budgets leave out
        allowed = list(self._ledger.allowed())
        for index, why in self._ledger.left_out.items():
            if index not in self._reported:
                self._reported.add(index)
                self._watch(None, SearchLeftOut(self._plan.searches[index].key, why))
        # Choose one that may start
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

    def _record(self, finished: Finished) -> None:
        """Record how a job ended: finished, to be retried, or failed."""
        job = finished.job
        # Baselines: a search that misses them measures them itself
        if job.kind == "baselines":
            status = "finished" if finished.ok else "failed"
            self._watch(job, JobEnded(status, finished.error, finished.message))
            return
        # Believe the store rather than the process
        index = self._running.pop(job.key)
        planned, state = self._plan.searches[index], _state_of(self._plan.searches[index])
        error, message = finished.error, finished.message
        if finished.ok and state.status != "finished":
            error, message = "StoreError", f"the search in {planned.run_dir} ended, but its store says {state.status}"
        # Finished, to be retried, or failed for good
        if not error:
            self._end(index, SearchOutcome(planned, "finished"), state)
        elif not finished.lasting and self._attempts[index] < self._plan.spec.retries:
            self._attempts[index] += 1
            self._watch(job, JobRetried(error, message, self._attempts[index]))
            return
        else:
            self._end(index, SearchOutcome(planned, "failed", f"{error}: {message}"), state)
        self._watch(job, JobEnded(self._ended[index].status, error, message))

    def _write_ends(self) -> None:
        """Write how searches ended whose own stores may not know."""
        ends: dict[str, tuple[str, str]] = {}
        for each in self._ended.values():
            if each.status == "failed":
                ends[each.planned.key] = (each.status, each.message)
        for index, why in self._ledger.left_out.items():
            ends[self._plan.searches[index].key] = ("left out", why)
        write_ends(self._plan.folder, ends)

    def _end(self, index: int, ended: SearchOutcome, state: SearchState) -> None:
        """Record a search that is over."""
        self._ended[index] = ended
        self._ledger.ended(index, state.spent)

    def _baseline_job(self, number: int, planned: Planned) -> Job:
        """Return the job that measures the baselines of a search's task."""
        config = planned.config.model_copy(update={"seed": 0})
        key = f"baselines/{planned.task}/{number}"
        return Job(key, "baselines", config, self._plan.folder, self._baselines, None, planned.envs)


def _state_of(planned: Planned) -> SearchState:
    """Return the state of a search; one whose store cannot be read has failed."""
    try:
        return standing(planned)
    except StoreError as error:
        return replace(SearchState(planned, "failed"), message=str(error))
