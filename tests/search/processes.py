"""Searches in processes of their own that tests kill, forked from one that has imported what they need."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from rewardgen import baselines, config, search
from rewardgen.store import Store
from rewardgen.store.database import FILE_NAME
from rewardgen.tasks import load_task
from rewardgen.training import Watcher

ENVIRONMENT = {"OPENAI_API_KEY": "test", "OMP_NUM_THREADS": "1", "MUJOCO_GL": "disable"}


class Started:
    """``target(*arguments, told)`` in a process that begins to work at once, ``told`` being a connection to here."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        context = _context()
        self.told, there = context.Pipe(duplex=False)
        self.process = context.Process(target=target, args=(*arguments, there))
        with pytest.MonkeyPatch.context() as patch:  # the first one starts the process that all others are forked from
            for name, value in ENVIRONMENT.items():
                patch.setenv(name, value)
            self.process.start()
        there.close()

    def __iter__(self) -> Iterator[Any]:
        """What it tells, until it ends."""
        while True:
            try:
                yield self.told.recv()
            except EOFError:
                return

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code; None if it goes on for longer than ``seconds``."""
        self.process.join(seconds)
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def close(self) -> None:
        self.told.close()
        self.process.close()


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "rewardgen.search.loop", "rewardgen.training.trainer"])
    return context


def begin_or_resume(folder: Path, settings: Mapping[str, Any], told: Connection) -> None:
    """Search in ``folder``, or go on where a killed process stopped; tell when the work begins."""
    told.send("begun")
    _search(folder, settings, search.silent)


def begin_or_resume_telling(folder: Path, settings: Mapping[str, Any], told: Connection) -> None:
    """The same, telling of each training and of its steps."""

    def listener(event: search.Event) -> None:
        if event.kind in ("training_started", "training_progress"):
            steps = event.data["steps"] if event.kind == "training_progress" else None
            told.send({"what": event.data["what"], "members": event.data.get("members"), "steps": steps})

    _search(folder, settings, listener)


def _search(folder: Path, settings: Mapping[str, Any], listener: search.Listener) -> None:
    os.environ.update(ENVIRONMENT)
    if (folder / FILE_NAME).exists() and _begun(folder):
        search.resume(folder, listener=listener)
        return
    for file in folder.glob(FILE_NAME + "*"):
        file.unlink()
    search.run(config.load(overrides=dict(settings)), folder, listener=listener)


def _begun(folder: Path) -> bool:
    with Store(folder) as store:
        return store.meta("config") is not None


def measure_baselines_until_killed(folder: Path, settings: Mapping[str, Any], until: int, told: Connection) -> None:
    """Measure the baselines of a task in ``folder``; killed as soon as more than ``until`` steps are done."""

    class Killing(Watcher):
        def progress(self, steps: int) -> None:
            if steps > until:
                os.kill(os.getpid(), signal.SIGKILL)

    loaded = config.load(overrides=dict(settings))
    baselines.measure(folder, load_task(loaded.task), loaded, watcher=Killing())
