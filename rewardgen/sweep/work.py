"""Runs one job in a process of its own: ``python -m rewardgen.sweep.work``.

The job comes as one line of JSON on standard input, which then stays open: when it closes, the parent is dead, and this
process exits at once. The search's events leave on standard output, one JSON document per line; the last line says how
it ended. Everything that libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from rewardgen.baselines import measure
from rewardgen.errors import BudgetExceeded, LLMAuthError, RewardgenError, RunLocked, UsageError
from rewardgen.search import Event, Listener, resolve, resume, run
from rewardgen.store import Store
from rewardgen.store.database import FILE_NAME
from rewardgen.sweep.events import BaselineSteps
from rewardgen.sweep.executor import Finished, Job
from rewardgen.tasks import load_task
from rewardgen.training import MakeTrainer, Watcher, arrangement_of

LASTING = (UsageError, LLMAuthError, BudgetExceeded)
"""Errors that a retry would raise again."""
PATIENCE = 60.0
"""Seconds to wait for a process that holds the run: if its sweep was killed, it exits as soon as it notices."""


def carry_out(job: Job, listener: Listener) -> None:
    """Run ``job`` in this process: start or continue its search, or measure its baselines.

    Raises:
        RewardgenError: it failed; the run's store says why, too.
    """
    # Baselines
    if job.kind == "baselines":
        task = load_task(job.config.task, job.envs)
        config = resolve(job.config, task, arrangement=arrangement_of(job.config, task)).config
        measure(job.baselines, task, config, watcher=_StepReporter(listener))
        return
    # A search, continued if it has begun
    with _remote(job) as remote:
        if has_begun(job.run_dir):
            resume(job.run_dir, listener=listener, overrides=_changeable(job), remote=remote)
            return
        # A store without settings is of a process that was killed in its first moments
        for file in job.run_dir.glob(f"{FILE_NAME}*"):
            file.unlink()
        run(
            job.config,
            job.run_dir,
            listener=listener,
            envs=job.envs,
            prompts_dir=job.prompts_dir,
            baselines=job.baselines,
            remote=remote,
        )


class _StepReporter(Watcher):
    """Reports how many environment steps the trainings of baselines have taken."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def progress(self, steps: int) -> None:
        """Report the steps so far."""
        self._listener(BaselineSteps(steps))


@contextmanager
def _remote(job: Job) -> Iterator[MakeTrainer | None]:
    """Yield what makes the trainer of a job that trains on a cluster; None if it trains on this machine."""
    if job.cluster is None:
        yield None
        return
    from rewardgen.remote import RemoteTrainer
    from rewardgen.sweep.ray import RayShards, connected

    with connected(job.cluster.address):
        yield partial(RemoteTrainer, RayShards(job.cluster))


def has_begun(run_dir: Path) -> bool:
    """Return whether there is a run to continue.

    Raises:
        RunLocked: a running process holds it.
    """
    if not (run_dir / FILE_NAME).exists():
        return False
    with Store(run_dir) as store:
        return store.meta("config") is not None


def _changeable(job: Job) -> dict[str, Any]:
    """Return the settings that a search may be continued with."""
    sections = {"budget": job.config.budget, "llm": job.config.llm}
    values = {
        # Budgets and models may change between attempts, what a search trains may not
        f"{name}.{key}": value
        for name, section in sections.items()
        for key, value in section.model_dump(mode="json").items()
    }
    return {**values, "threads": job.config.threads}


def outcome_of(job: Job, work: Callable[[], None]) -> Finished:
    """Run ``work`` and return how it ended, whatever it raises; only Ctrl-C passes through."""
    try:
        work()
    except RewardgenError as error:
        return Finished(job, type(error).__name__, str(error), isinstance(error, LASTING))
    except Exception as error:
        return Finished(job, type(error).__name__, str(error) or repr(error))
    return Finished(job)


def main() -> int:
    """Read a job, run it, and return the exit code."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not stand among the events
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process might ignore it
    # Read the job, and watch whether the parent lives
    job = Job.of(json.loads(sys.stdin.readline()))
    threading.Thread(target=_die_with, args=(sys.stdin,), daemon=True).start()

    def write_line(**document: Any) -> None:
        """Write one line for the parent."""
        output.write(json.dumps(document, default=str) + "\n")
        output.flush()

    def listener(event: Event) -> None:
        """Pass an event of the search on."""
        write_line(kind=event.kind, data=event.data)

    # Work
    try:
        outcome = outcome_of(job, lambda: _patiently(lambda: carry_out(job, listener)))
    except KeyboardInterrupt:
        return 130
    write_line(error=outcome.error, message=outcome.message, lasting=outcome.lasting)
    return 0


def _patiently(work: Callable[[], None]) -> None:
    """Run ``work``, and again for up to ``PATIENCE`` seconds while another process holds the run."""
    deadline = time.monotonic() + PATIENCE
    # The sweep before may have been killed a moment ago, and its process not have noticed yet
    while True:
        try:
            return work()
        except RunLocked:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _die_with(parent: IO[str]) -> None:
    """Exit when the parent's pipe closes. Being killed loses nothing, and nobody would wait for the result."""
    parent.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
