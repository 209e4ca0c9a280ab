"""The searches that an agent has started: processes, and what their folders say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rewardgen.errors import UnknownName, UsageError
from rewardgen.llm import dialog
from rewardgen.mcp import commands
from rewardgen.store import CandidateView, RunView, read
from rewardgen.store.database import FILE_NAME

DIALOGS = ".dialogs"
"""The folder among the runs that holds the requests of each search, by its name."""
MOST_AT_ONCE = 2
_LOOK = 0.5  # seconds between two looks at a search that is waited for
_TAIL = 12  # last lines of a search's output that are shown


class Searches:
    """Starts, stops and watches searches below ``runs``. Those that it started end with it."""

    def __init__(self, runs: Path, flags: Sequence[str]) -> None:
        self.runs, self._flags = runs, tuple(flags)
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._lines: dict[str, list[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def dialog_folder(self, name: str) -> Path:
        """Where the requests of the search ``name`` are."""
        return self.runs / DIALOGS / name

    def run_dir(self, name: str) -> Path:
        """The folder of the run ``name``, which lies among the runs and is no link to anywhere else.

        Raises:
            UnknownName: there is no such run.
        """
        folder = self.runs / name
        if folder.is_symlink() or not (folder / FILE_NAME).is_file():
            raise UnknownName("run", name, self.names())
        return folder

    def names(self) -> list[str]:
        """The runs by name, the newest first."""
        found = [path for path in self.runs.glob(f"*/{FILE_NAME}") if not path.parent.is_symlink()]
        return [path.parent.name for path in sorted(found, key=lambda path: -path.stat().st_mtime)]

    def live(self, name: str) -> bool:
        process = self._processes.get(name)
        return process is not None and process.returncode is None

    async def start(self, name: str, task: str, flags: Sequence[str]) -> None:
        """Begin a search.

        Raises:
            UsageError: the name is taken, or too many searches are under way.
        """
        if (self.runs / name).exists() or self.live(name):
            raise UsageError(f"there is a run named {name} already; resume it, or choose another name")
        await self._launch(name, "run", task, "--name", name, *flags, *self._flags)

    async def resume(self, name: str) -> None:
        """Take up a search that was stopped.

        Raises:
            UsageError: it is under way, or too many searches are.
            UnknownName: there is no such run.
        """
        if self.live(name):
            raise UsageError(f"{name} is under way")
        await self._launch(name, "resume", str(self.run_dir(name)))

    async def stop(self, name: str) -> None:
        """Stop a search as Ctrl-C would; nothing that was done is lost.

        Raises:
            UsageError: it was not started here, or has ended.
        """
        if not self.live(name):
            raise UsageError(f"{name} is not under way here")
        await commands.end(self._processes[name])

    async def close(self) -> None:
        """Stop all searches that were started here."""
        await asyncio.gather(*(commands.end(process) for process in self._processes.values()))
        await asyncio.gather(*self._tasks)

    async def wait(self, name: str, seconds: float, progress: commands.Progress) -> None:
        """Return when ``name`` has a request without answers or has ended, or after ``seconds``."""
        told, loop = 0, asyncio.get_running_loop()
        until = loop.time() + seconds
        while self.live(name) and loop.time() < until:
            if any(each.missing for each in self.requests(name)):
                return
            lines = self._lines[name]
            if lines and len(lines) != told:
                told = len(lines)
                await progress(lines[-1])
            await asyncio.sleep(_LOOK)

    def requests(self, name: str) -> list[dialog.DialogRequest]:
        """The requests that a search has made so far."""
        folder = self.dialog_folder(name)
        return dialog.requests(folder) if folder.is_dir() else []

    def status(self, name: str) -> dict[str, Any]:
        """Where a search stands.

        Raises:
            UnknownName: there is no such run.
        """
        waiting = [
            {"request": each.name, "purpose": each.purpose, "answers_wanted": list(each.missing)}
            for each in self.requests(name)
            if each.missing and self.live(name)
        ]
        facts: dict[str, Any] = {"name": name, "under_way": self.live(name), "waiting_for_answers": waiting}
        facts["output"] = self._lines.get(name, [])[-_TAIL:]
        if not (self.runs / name).is_dir() and name in self._processes:
            return facts | {"status": "starting" if self.live(name) else "failed"}
        return facts | results(read(self.run_dir(name)))

    async def _launch(self, name: str, *arguments: str) -> None:
        if sum(self.live(each) for each in self._processes) >= MOST_AT_ONCE:
            raise UsageError(f"{MOST_AT_ONCE} searches are under way; stop one of them or wait for its end")
        self.runs.mkdir(parents=True, exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            *commands.PROGRAM,
            *arguments,
            "--out",
            str(self.runs),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._processes[name] = process
        self._lines[name] = []
        task = asyncio.create_task(self._follow(name, process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if text := line.decode(errors="replace").rstrip():
                self._lines[name].append(text)
                del self._lines[name][:-200]
        await process.wait()


def results(view: RunView) -> dict[str, Any]:
    """What a run has come to."""
    return {
        "status": view.status,
        "message": view.message,
        "candidates": [_candidate(each) for each in view.candidates.values()],
        "winner": view.winner,
        "cost": {"steps": view.cost.steps, "tokens": view.cost.prompt_tokens + view.cost.completion_tokens},
    }


def _candidate(candidate: CandidateView) -> dict[str, Any]:
    return {
        "key": candidate.key,
        "status": candidate.status,
        "score": candidate.score,
        "problems": [str(problem) for problem in candidate.problems],
    }
