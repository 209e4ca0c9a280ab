"""One job in a process of its own: ``python -m rewardgen.sweep.work``.

The job comes as one line of JSON on standard input, which then stays open: when it closes, whoever gave the job is
dead, and so is this process at once. What a search says leaves on standard output, one JSON document on each
line; the last says how it ended. Everything that libraries print goes to standard error.
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
"""What trying again does not help against."""
PATIENCE = 60.0
"""Seconds to wait for a process that holds the run: one whose sweep was killed dies as soon as it notices."""


def carry_out(job: Job, listener: Listener) -> None:
    """Do ``job`` in this process: begin its search or take it up, or measure its baselines.

    Raises:
        RewardgenError: it could not be done; the run's store says why, too.
    """
    if job.kind == "baselines":
        task = load_task(job.config.task, job.envs)
        config = resolve(job.config, task, arrangement=arrangement_of(job.config, task)).config
        measure(job.baselines, task, config, watcher=_StepsTold(listener))
        return
    with _remote(job) as remote:
        if has_begun(job.run_dir):
            resume(job.run_dir, listener=listener, overrides=_changeable(job), remote=remote)
            return
        for file in job.run_dir.glob(f"{FILE_NAME}*"):  # a store without settings: killed in its very first moment
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


class _StepsTold(Watcher):
    """Tells how many environment steps the trainings of baselines have taken."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def progress(self, steps: int) -> None:
        self._listener(BaselineSteps(steps))


@contextmanager
def _remote(job: Job) -> Iterator[MakeTrainer | None]:
    """What makes the trainer of a job that trains on a cluster; None: it trains on this machine."""
    if job.cluster is None:
        yield None
        return
    from rewardgen.remote import RemoteTrainer
    from rewardgen.sweep.ray import RayShards, connected

    with connected(job.cluster.address):
        yield partial(RemoteTrainer, RayShards(job.cluster))


def has_begun(run_dir: Path) -> bool:
    """Whether there is a run to take up.

    Raises:
        RunLocked: a live process holds it.
    """
    if not (run_dir / FILE_NAME).exists():
        return False
    with Store(run_dir) as store:
        return store.meta("config") is not None


def _changeable(job: Job) -> dict[str, Any]:
    """Those settings that a search may be taken up with anew."""
    sections = {"budget": job.config.budget, "llm": job.config.llm}
    values = {
        f"{name}.{key}": value
        for name, section in sections.items()
        for key, value in section.model_dump(mode="json").items()
    }
    return {**values, "threads": job.config.threads}


def ended(job: Job, work: Callable[[], None]) -> Finished:
    """How ``work`` ends, whatever it raises; Ctrl-C alone goes through."""
    try:
        work()
    except RewardgenError as error:
        return Finished(job, type(error).__name__, str(error), isinstance(error, LASTING))
    except Exception as error:
        return Finished(job, type(error).__name__, str(error) or repr(error))
    return Finished(job)


def main() -> int:
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # nothing that a library prints may stand among the events
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # started in the background, it might be ignored
    job = Job.of(json.loads(sys.stdin.readline()))
    threading.Thread(target=_die_with, args=(sys.stdin,), daemon=True).start()

    def tell(**document: Any) -> None:
        told.write(json.dumps(document, default=str) + "\n")
        told.flush()

    def listener(event: Event) -> None:
        tell(kind=event.kind, data=event.data)

    try:
        end = ended(job, lambda: _patiently(lambda: carry_out(job, listener)))
    except KeyboardInterrupt:
        return 130
    tell(error=end.error, message=end.message, lasting=end.lasting)
    return 0


def _patiently(work: Callable[[], None]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return work()
        except RunLocked:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _die_with(parent: IO[str]) -> None:
    """A run can be killed at any moment, and one that nobody waits for would only be in the next one's way."""
    parent.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
