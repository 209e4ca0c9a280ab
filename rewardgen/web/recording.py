"""Has replays made while pages answer: in one other process, one after the other."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rewardgen import files
from rewardgen.errors import RewardgenError
from rewardgen.replay import FOLDER, MAX_STARTS, ReplayFiles, ensure, find
from rewardgen.replay.files import split_id

PICTURES = ".pictures"
"""The folder of tasks' pictures, beside the runs."""


@dataclass(frozen=True)
class Made:
    """``files`` once they are there, ``failure`` once it is known that they will not be; neither: under way."""

    files: ReplayFiles | None = None
    failure: str = ""


@dataclass(frozen=True)
class Drawn:
    """``path`` of a task's picture once it is there, ``failure`` once it is known that it will not be."""

    path: Path | None = None
    failure: str = ""


class ReplayRecorder:
    """Makes what is asked for. A renderer that brings its process down takes no page with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._jobs: dict[tuple[Path, str, int, bool], Future[str]] = {}
        self._drawn: set[tuple[Path, str]] = set()
        self._tasks: dict[Path, Future[str]] = {}
        self._workers: list[BaseProcess] = []

    def ask(self, run_dir: Path, replay: str, *, video: bool = False) -> Made:
        """The replay as far as it is; it is begun if nobody has yet. Never waits.

        Raises:
            UsageError: this is no replay's id.
        """
        candidate, start = split_id(replay)
        if start >= MAX_STARTS:
            return Made(failure=f"there are replays from {MAX_STARTS} start states, 0 to {MAX_STARTS - 1}")
        files = next((each for each in find(run_dir, candidate, starts=start + 1) if each.id == replay), None)
        if files is not None and (files.video is not None or not video):
            return Made(files)
        job = run_dir, candidate, start + 1, video
        with self._lock:
            future = self._jobs.get(job)
            if future is None:
                self._jobs[job] = self._begin(job)
                return Made()
            if not future.done():
                return Made()
            del self._jobs[job]  # a failure is told once: whoever asks again has it tried again
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            with self._lock:
                self._pool = None
            return Made(failure="the process that makes replays died; reload the page to try again")
        return Made(failure=str(error) if error is not None else future.result() or "it could not be made")

    def draw(self, run_dir: Path, candidates: Iterable[str]) -> frozenset[str]:
        """Those of ``candidates`` that have a thumbnail. The others' are begun, once for as long as the server runs."""
        folder = run_dir / FOLDER
        there = frozenset(key for key in candidates if (folder / f"{key}.0.png").is_file())
        with self._lock:
            for key in candidates:
                if key not in there and (run_dir, key) not in self._drawn:
                    self._drawn.add((run_dir, key))
                    self._begin((run_dir, key, 1, False))
        return there

    def ask_task(self, folder: Path, task: str) -> Drawn:
        """The picture of a known task, kept below ``folder``; it is begun if nobody has yet. Never waits."""
        path = folder / PICTURES / f"{task.replace('/', '~')}.png"
        if path.is_file():
            return Drawn(path)
        with self._lock:
            future = self._tasks.get(path)
            if future is None:
                self._tasks[path] = self._submit(_draw_task, task, path)
                return Drawn()
        if not future.done():
            return Drawn()
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            with self._lock:
                self._pool = None
        return Drawn(failure=str(error) if error is not None else future.result() or "it could not be drawn")

    def close(self) -> None:
        """End at once: a file is there as a whole or not at all, so nothing is lost but what was under way."""
        with self._lock:
            for worker in self._workers:
                worker.terminate()
            if self._pool is not None:
                self._pool.shutdown(wait=True, cancel_futures=True)
                self._pool = None

    def _begin(self, job: tuple[Path, str, int, bool]) -> Future[str]:
        return self._submit(_make, *job)

    def _submit(self, work: Callable[..., str], *arguments: Any) -> Future[str]:
        if self._pool is None:  # spawned: this process has threads
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_stand_back)
        before = multiprocessing.active_children()
        future = self._pool.submit(work, *arguments)
        self._workers += [child for child in multiprocessing.active_children() if child not in before]
        return future


def _stand_back() -> None:
    """Trainings on the same machine go first."""
    if hasattr(os, "nice"):
        os.nice(5)  # more, and whoever looks would wait for minutes while a training takes all processors


def _draw_task(task: str, path: Path) -> str:
    """In the other process. Draws a task's first moment; returns why that could not be done, or ""."""
    from rewardgen.report.task_page import draw_task
    from rewardgen.tasks import load_task

    try:
        files.write_bytes(path, draw_task(load_task(task)))
    except (RewardgenError, OSError) as error:
        return str(error)
    return ""


def _make(run_dir: Path, candidate: str, starts: int, video: bool) -> str:
    """In the other process. Returns why something is missing that was asked for."""
    try:
        return ensure(run_dir, candidate, starts=starts, video=video)[-1].note
    except RewardgenError as error:
        return str(error)
