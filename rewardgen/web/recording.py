"""Render replays and pictures in one separate process, one after another, while the pages stay responsive."""

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
"""The folder for tasks' pictures, beside the runs."""


@dataclass(frozen=True)
class ReplayState:
    """The state of a requested replay: its ``files``, or why it failed; neither while it is rendered."""

    files: ReplayFiles | None = None
    failure: str = ""


@dataclass(frozen=True)
class PictureState:
    """The state of a task's picture: its ``path``, or why it failed; neither while it is rendered."""

    path: Path | None = None
    failure: str = ""


class ReplayRecorder:
    """Renders in a separate process, so that a crashing renderer does not end the server. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._jobs: dict[tuple[Path, str, int, bool], Future[str]] = {}
        self._drawn: set[tuple[Path, str]] = set()
        self._tasks: dict[Path, Future[str]] = {}
        self._workers: list[BaseProcess] = []

    def ask(self, run_dir: Path, replay: str, *, video: bool = False) -> ReplayState:
        """Return the state of a replay; start rendering it if that has not happened yet. Does not block.

        Raises:
            UsageError: the id is malformed.
        """
        candidate, start = split_id(replay)
        if start >= MAX_STARTS:
            return ReplayState(failure=f"there are replays from {MAX_STARTS} start states, 0 to {MAX_STARTS - 1}")
        # Take it if it exists
        files = next((each for each in find(run_dir, candidate, starts=start + 1) if each.id == replay), None)
        if files is not None and (files.video is not None or not video):
            return ReplayState(files)
        # Start or poll the job
        job = run_dir, candidate, start + 1, video
        with self._lock:
            future = self._jobs.get(job)
            if future is None:
                self._jobs[job] = self._begin(job)
                return ReplayState()
            if not future.done():
                return ReplayState()
            del self._jobs[job]  # a failure is reported once; the next request tries again
        # Report a failure; after a crash the next job gets a new process
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            with self._lock:
                self._pool = None
            return ReplayState(failure="the rendering process crashed; reload the page to try again")
        return ReplayState(failure=str(error) if error is not None else future.result() or "it could not be rendered")

    def draw(self, run_dir: Path, candidates: Iterable[str]) -> frozenset[str]:
        """Return the candidates that have a thumbnail; start rendering the others', once per server."""
        # A thumbnail's file tells that it was rendered
        folder = run_dir / FOLDER
        there = frozenset(key for key in candidates if (folder / f"{key}.0.png").is_file())
        with self._lock:
            for key in candidates:
                if key not in there and (run_dir, key) not in self._drawn:
                    self._drawn.add((run_dir, key))
                    self._begin((run_dir, key, 1, False))
        return there

    def ask_task(self, folder: Path, task: str) -> PictureState:
        """Return the state of a known task's picture below ``folder``; start rendering it if needed. Does not block."""
        # One picture per task, kept for all servers of this folder
        path = folder / PICTURES / f"{task.replace('/', '~')}.png"
        if path.is_file():
            return PictureState(path)
        with self._lock:
            future = self._tasks.get(path)
            if future is None:
                self._tasks[path] = self._submit(_draw_task, task, path)
                return PictureState()
        if not future.done():
            return PictureState()
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            with self._lock:
                self._pool = None
        return PictureState(failure=str(error) if error is not None else future.result() or "it could not be drawn")

    def close(self) -> None:
        """End the process at once. Files are written atomically, so only unfinished work is lost."""
        with self._lock:
            for worker in self._workers:
                worker.terminate()
            if self._pool is not None:
                self._pool.shutdown(wait=True, cancel_futures=True)
                self._pool = None

    def _begin(self, job: tuple[Path, str, int, bool]) -> Future[str]:
        return self._submit(_make, *job)

    def _submit(self, work: Callable[..., str], *arguments: Any) -> Future[str]:
        if self._pool is None:  # spawn: this process has threads
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_lower_priority)
        # Remember the worker processes, to end them with the server
        before = multiprocessing.active_children()
        future = self._pool.submit(work, *arguments)
        self._workers += [child for child in multiprocessing.active_children() if child not in before]
        return future


def _lower_priority() -> None:
    """Lower the process's priority below that of trainings."""
    if hasattr(os, "nice"):
        os.nice(5)  # with more, visitors would wait for minutes while a training uses all CPUs


def _draw_task(task: str, path: Path) -> str:
    """Render a task's start state, in the other process. Returns the error message, or ""."""
    from rewardgen.report.task_page import draw_task
    from rewardgen.tasks import load_task

    try:
        files.write_bytes(path, draw_task(load_task(task)))
    except (RewardgenError, OSError) as error:
        return str(error)
    return ""


def _make(run_dir: Path, candidate: str, starts: int, video: bool) -> str:
    """Render a replay, in the other process. Returns why something requested is missing, or ""."""
    try:
        return ensure(run_dir, candidate, starts=starts, video=video)[-1].note
    except RewardgenError as error:
        return str(error)
