"""Commands of ``rewardgen`` in processes of their own, as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PROGRAM = (sys.executable, "-m", "rewardgen.cli")
_LINE = 1 << 16  # bytes of a line on standard error
_BEAT = 1.0  # seconds between two signs of life
_PATIENCE = 20.0  # seconds in which a command that was told to stop has to end

Progress = Callable[[str], Awaitable[None]]
"""Told each line that a command writes while it works."""


class CommandFailed(Exception):
    """A command did not do what was asked; the message is its own."""


async def run(*arguments: str, seconds: float, progress: Progress | None = None) -> dict[str, Any]:
    """The JSON document that ``rewardgen *arguments --json`` prints; also that of an error that the command reports.

    The process is stopped where the caller is cancelled.

    Raises:
        CommandFailed: it took longer than ``seconds``, or printed no JSON.
    """
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *arguments,
        "--json",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE,
    )
    assert process.stdout is not None and process.stderr is not None
    beating = asyncio.create_task(_beat(arguments[0], progress))
    try:
        async with asyncio.timeout(seconds):
            out, last = await asyncio.gather(process.stdout.read(), _follow(process.stderr, progress))
            await process.wait()
    except TimeoutError as error:
        raise CommandFailed(f"rewardgen {arguments[0]} took longer than {seconds:.0f} s and was stopped") from error
    finally:
        beating.cancel()
        await end(process)
    try:
        return dict(json.loads(out))
    except ValueError as error:
        raise CommandFailed(f"rewardgen {arguments[0]} ended with {process.returncode}: {last}") from error


async def _beat(what: str, progress: Progress | None) -> None:
    """Tell now and then that a command is still at work, so that its client does not give up."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while progress is not None:
        await asyncio.sleep(_BEAT)
        await progress(f"{what}: {loop.time() - began:.0f} s")


async def _follow(lines: asyncio.StreamReader, progress: Progress | None) -> str:
    """Tell each line; the last one is returned."""
    last = ""
    while True:
        try:
            line = await lines.readline()
        except ValueError:  # longer than the limit
            continue
        if not line:
            return last
        text = line.decode(errors="replace").strip()
        if text:
            last = text
            if progress is not None:
                await progress(text)


async def end(process: asyncio.subprocess.Process) -> None:
    """Stop ``process`` as Ctrl-C would, and kill it if it does not end."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def reward_file(code: str, name: str = "reward.py") -> AsyncIterator[Path]:
    """A file that holds ``code`` while it is needed."""
    with TemporaryDirectory(prefix="rewardgen-") as folder:
        path = Path(folder) / name
        path.write_text(code, encoding="utf-8", errors="replace")
        yield path
