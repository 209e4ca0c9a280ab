"""Runs jobs on this machine, several at once, each in a process with its share of CPUs, memory and GPUs."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewardgen.errors import StoreError
from rewardgen.search import Event
from rewardgen.sim import available_threads
from rewardgen.sweep.events import JobStarted
from rewardgen.sweep.executor import Finished, Job, OnEvent, Take
from rewardgen.sweep.machine import available_memory, gpus
from rewardgen.sweep.spec import Share

LOG = "search.log"
"""Standard error of a search's process, in its run's folder."""
GRACE = 30.0
"""Seconds that jobs have to stop cleanly."""
CHECK = 2.0
"""Seconds between two checks whether there is memory for another job."""


@dataclass
class _Child:
    """A job's process. ``card``: the index of its GPU; ``end``: its last line."""

    job: Job
    process: subprocess.Popen[str]
    log: Path
    gpu: int | None
    end: dict[str, Any] | None = None


class LocalExecutor:
    """Runs jobs as processes on this machine.

    Args:
        share: the resources of each job.
        jobs: number of concurrent jobs; None: as many as CPUs and memory allow.
        wanted: number of jobs to expect; fewer jobs get more CPUs each.
    """

    def __init__(self, share: Share, jobs: int | None = None, wanted: int = 1) -> None:
        # CPUs and memory bound the number of jobs, unless it is given
        cpus, memory = available_threads(), available_memory()
        threads_each = min(share.threads, cpus)
        most = max(1, cpus // max(1, threads_each))
        if memory is not None:
            most = min(most, max(1, int(memory / (share.memory_gb * 1e9))))
        self._slots = jobs if jobs is not None else max(1, min(most, wanted))
        self._share = share
        # Divide the CPUs among them
        self._threads = threads_each or max(1, cpus // self._slots)
        self._gpus = gpus()
        self._children: list[_Child] = []
        self._messages: queue.SimpleQueue[tuple[_Child, dict[str, Any] | None]] = queue.SimpleQueue()

    @property
    def slots(self) -> int:
        """Number of concurrent jobs."""
        return self._slots

    @property
    def threads(self) -> int:
        """CPU threads of each job."""
        return self._threads

    def describe(self) -> str:
        """Return how searches run, in one line."""
        at_once = "one search at a time" if self._slots == 1 else f"{self._slots} searches at once"
        each = f"{self._threads} CPU thread{'s' if self._threads > 1 else ''} each"
        shared = f", {self._share.gpus:g} of {len(self._gpus)} GPUs each" if self._gpus else ""
        return f"on this machine, {at_once} with {each}{shared}"

    def run(self, take: Take, on_event: OnEvent) -> Iterator[Finished]:
        """See ``Executor.run``."""
        pending: Job | None = None  # taken, but it waits for memory or a GPU
        try:
            while True:
                # Start jobs while there is room
                while len(self._children) < self._slots:
                    pending = pending or take()
                    if pending is None or not self._has_room(pending):
                        break
                    child, pending = self._start(pending), None
                    on_event(child.job, JobStarted(child.process.pid, str(child.log)))
                if not self._children:
                    return
                # Wait for a child to report or to end
                try:
                    child, document = self._messages.get(timeout=CHECK if pending is not None else None)
                except queue.Empty:
                    continue
                # None: it has ended. Its last line says how; every other line is an event
                if document is None:
                    self._children.remove(child)
                    yield self._finished(child)
                elif "kind" in document:
                    event = Event.of(document["kind"], document["data"])
                    if event is not None:
                        on_event(child.job, event)
                else:
                    child.end = document
        finally:
            self._stop()

    def _has_room(self, job: Job) -> bool:
        """Return whether there is memory, and a GPU if the job uses one; a single job takes whatever there is."""
        if not self._children:
            return True
        memory = available_memory()
        if memory is not None and memory < self._share.memory_gb * 1e9:
            return False
        return not self._wants_gpu(job) or self._free_gpu() is not None

    def _wants_gpu(self, job: Job) -> bool:
        """Return whether a job trains on a GPU."""
        return bool(self._gpus) and self._share.gpus > 0 and job.config.device in ("auto", "cuda")

    def _free_gpu(self) -> int | None:
        """Return the GPU with the most room for another job's share; None if there is none."""
        used = [sum(self._share.gpus for child in self._children if child.gpu == n) for n in range(len(self._gpus))]
        number = min(range(len(used)), key=used.__getitem__)
        fits = used[number] == 0 or used[number] + self._share.gpus <= 1 + 1e-9
        return number if fits else None

    def _start(self, job: Job) -> _Child:
        """Start a job's process, and a thread that reads its lines."""
        job = _with_threads(job, self._threads)
        # Assign CPUs and a GPU
        gpu = self._free_gpu() if self._wants_gpu(job) else None
        environment = {**os.environ, "OMP_NUM_THREADS": str(self._threads)}
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[gpu]
        # Start the process; what it prints goes to a log in the run's folder
        log = job.run_dir / (LOG if job.kind == "search" else f"{job.key.replace('/', '-')}.log")
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("w", encoding="utf-8") as log_file:
                process = subprocess.Popen(
                    [sys.executable, "-m", "rewardgen.sweep.work"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log_file,
                    text=True,
                    encoding="utf-8",
                    env=environment,
                    # In its own process group, Ctrl-C on the terminal does not reach it: this process stops it, once
                    **({"process_group": 0} if os.name == "posix" else {}),  # type: ignore[call-overload]
                )
        except OSError as error:
            raise StoreError(f"cannot start a search in {job.run_dir}: {error}") from error
        # Send the job
        child = _Child(job, process, log, gpu)
        self._children.append(child)
        try:
            process.stdin.write(json.dumps(job.document()) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once, which its end will show
        threading.Thread(target=self._listen, args=(child,), daemon=True).start()
        return child

    def _listen(self, child: _Child) -> None:
        """Pass a child's lines on, then None; runs in a thread of its own."""
        assert child.process.stdout is not None
        for line in child.process.stdout:
            try:
                document = json.loads(line)
            except ValueError:  # the last line of a process that was killed while it wrote
                continue
            if isinstance(document, dict):
                self._messages.put((child, document))
        self._messages.put((child, None))

    def _finished(self, child: _Child) -> Finished:
        """Return how a child ended: as it said itself, or from its exit code and the last line of its log."""
        code = child.process.wait()
        self._close(child)
        if child.end is not None:
            end = child.end
            return Finished(child.job, str(end["error"]), str(end["message"]), bool(end["lasting"]))
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        last = child.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        return Finished(
            child.job, "Crash", f"its process {how}" + (f": {last[0]}" if last else "") + f"; see {child.log}"
        )

    def _close(self, child: _Child) -> None:
        """Close the pipes to a child."""
        for pipe in (child.process.stdin, child.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass

    def _stop(self) -> None:
        """Ask all jobs to stop; kill those that take too long, or all of them on a second Ctrl-C."""
        for child in self._children:
            child.process.terminate()
        # All jobs share one deadline
        deadline = time.monotonic() + GRACE
        try:
            for child in self._children:
                try:
                    child.process.wait(timeout=max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    pass
        finally:
            for child in self._children:
                child.process.kill()
                child.process.wait()
                self._close(child)
            self._children.clear()


def _with_threads(job: Job, threads: int) -> Job:
    """Return a job with a number of threads, unless its settings name one."""
    if job.config.threads:
        return job
    values = {**job.__dict__, "config": job.config.model_copy(update={"threads": threads})}
    return Job(**values)
