"""Jobs on this machine, several at once, each a process with its share of processors, memory and graphics cards."""

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
from rewardgen.sweep.machine import available_memory, cards
from rewardgen.sweep.spec import Share

LOG = "search.log"
"""What a search's process printed, in its run's folder."""
GRACE = 30.0
"""Seconds that stopped jobs have to put their stores in order."""
CHECK = 2.0
"""Seconds between two looks at whether there is memory for a further job."""


@dataclass
class _Child:
    job: Job
    process: subprocess.Popen[str]
    log: Path
    card: int | None
    end: dict[str, Any] | None = None


class LocalExecutor:
    """Processes on this machine.

    Args:
        share: what each job takes.
        jobs: how many run at once; None is as many as there are processors and memory for.
        wanted: how many jobs there will be: fewer of them have more processors each.
    """

    def __init__(self, share: Share, jobs: int | None = None, wanted: int = 1) -> None:
        processors, memory = available_threads(), available_memory()
        asked = min(share.threads, processors)
        most = max(1, processors // max(1, asked))
        if memory is not None:
            most = min(most, max(1, int(memory / (share.memory_gb * 1e9))))
        self._slots = jobs if jobs is not None else max(1, min(most, wanted))
        self._share = share
        self._threads = asked or max(1, processors // self._slots)
        self._cards = cards()
        self._children: list[_Child] = []
        self._heard: queue.SimpleQueue[tuple[_Child, dict[str, Any] | None]] = queue.SimpleQueue()

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def threads(self) -> int:
        """Processors of each job."""
        return self._threads

    def describe(self) -> str:
        at_once = "one search at a time" if self._slots == 1 else f"{self._slots} searches at once"
        each = f"{self._threads} processor{'s' if self._threads > 1 else ''} each"
        shared = f", {self._share.gpus:g} of {len(self._cards)} graphics cards each" if self._cards else ""
        return f"on this machine, {at_once} on {each}{shared}"

    def run(self, take: Take, on_event: OnEvent) -> Iterator[Finished]:
        held: Job | None = None  # taken, but there is no memory or card for it yet
        try:
            while True:
                while len(self._children) < self._slots:
                    held = held or take()
                    if held is None or not self._has_room(held):
                        break
                    child, held = self._start(held), None
                    on_event(child.job, JobStarted(child.process.pid, str(child.log)))
                if not self._children:
                    return
                try:
                    child, document = self._heard.get(timeout=CHECK if held is not None else None)
                except queue.Empty:
                    continue
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
        """Whether there is memory, and a card where one is used; what is alone on the machine has whatever there is."""
        if not self._children:
            return True
        memory = available_memory()
        if memory is not None and memory < self._share.memory_gb * 1e9:
            return False
        return not self._wants_card(job) or self._free_card() is not None

    def _wants_card(self, job: Job) -> bool:
        return bool(self._cards) and self._share.gpus > 0 and job.config.device in ("auto", "cuda")

    def _free_card(self) -> int | None:
        """The card with most room for another job's share."""
        taken = [sum(self._share.gpus for child in self._children if child.card == n) for n in range(len(self._cards))]
        number = min(range(len(taken)), key=taken.__getitem__)
        fits = taken[number] == 0 or taken[number] + self._share.gpus <= 1 + 1e-9
        return number if fits else None

    def _start(self, job: Job) -> _Child:
        job = _with_threads(job, self._threads)
        card = self._free_card() if self._wants_card(job) else None
        environment = {**os.environ, "OMP_NUM_THREADS": str(self._threads)}
        if card is not None:
            environment["CUDA_VISIBLE_DEVICES"] = self._cards[card]
        log = job.run_dir / (LOG if job.kind == "search" else f"{job.key.replace('/', '-')}.log")
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("w", encoding="utf-8") as printed:
                process = subprocess.Popen(
                    [sys.executable, "-m", "rewardgen.sweep.work"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=printed,
                    text=True,
                    encoding="utf-8",
                    env=environment,
                    # in a group of its own, Ctrl-C on the terminal does not reach it: it is told to stop, once
                    **({"process_group": 0} if os.name == "posix" else {}),  # type: ignore[call-overload]
                )
        except OSError as error:
            raise StoreError(f"cannot start a search in {job.run_dir}: {error}") from error
        child = _Child(job, process, log, card)
        self._children.append(child)
        try:
            process.stdin.write(json.dumps(job.document()) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once: its end says so
        threading.Thread(target=self._listen, args=(child,), daemon=True).start()
        return child

    def _listen(self, child: _Child) -> None:
        assert child.process.stdout is not None
        for line in child.process.stdout:
            try:
                document = json.loads(line)
            except ValueError:  # the last line of a process that was killed while it wrote
                continue
            if isinstance(document, dict):
                self._heard.put((child, document))
        self._heard.put((child, None))

    def _finished(self, child: _Child) -> Finished:
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
        for pipe in (child.process.stdin, child.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass

    def _stop(self) -> None:
        """Ask all jobs to stop, and kill those that take too long, or all at a second Ctrl-C."""
        for child in self._children:
            child.process.terminate()
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
    if job.config.threads:
        return job
    values = {**job.__dict__, "config": job.config.model_copy(update={"threads": threads})}
    return Job(**values)
