"""Training speed and length of replies on this machine: from the runs on it, else assumed."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rewardgen.config import Config
from rewardgen.sim.machine import machine
from rewardgen.store.database import FILE_NAME

NEWEST = 200
"""Max. number of runs that are read, newest first."""
ENOUGH = 20_000
"""Min. environment steps of a run whose speed counts."""

STEPS_PER_THREAD = 20_000.0
"""Assumed environment steps per second and CPU thread: those of HalfCheetah (docs/performance.md). Models with many
contacts are slower."""
PROMPT_TOKENS, REPLY_TOKENS, REPLY_SECONDS = 3_500.0, 700.0, 30.0
"""Assumed tokens of a call's prompt, tokens of a reply, and seconds of a call, for a model without earlier runs."""


@dataclass(frozen=True)
class Replies:
    """Typical replies of a model: tokens of a call's prompt, tokens of a reply, seconds of a call."""

    prompt_tokens: float = PROMPT_TOKENS
    reply_tokens: float = REPLY_TOKENS
    seconds: float = REPLY_SECONDS


@dataclass(frozen=True)
class Rates:
    """Measured rates: ``steps`` are environment steps per second and CPU thread by task, ``replies`` are by model.

    ``runs`` is the number of runs that they were measured in; 0: everything is assumed.
    """

    steps: Mapping[str, float] = field(default_factory=dict)
    replies: Mapping[str, Replies] = field(default_factory=dict)
    runs: int = 0

    def of_task(self, config: Config) -> float:
        """Return environment steps per second and CPU thread: this task's, else the median of others, else assumed."""
        name = _name(config.task, config.training.trainer, config.sim)
        if name in self.steps:
            return self.steps[name]
        # Other tasks with the same trainer and simulator
        kind = name.partition(" ")[2]
        alike = [rate for other, rate in self.steps.items() if other.partition(" ")[2] == kind]
        return median(alike) if alike else STEPS_PER_THREAD

    def of_model(self, model: str) -> Replies:
        """Return a model's typical replies, else assumed ones."""
        return self.replies.get(model, Replies())

    def measured(self, config: Config) -> bool:
        """Return whether this task's own speed is known."""
        return _name(config.task, config.training.trainer, config.sim) in self.steps

    def document(self) -> dict[str, Any]:
        """Return the rates as plain values."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Rates:
        """Return the rates in a ``document``."""
        replies = {str(name): Replies(**each) for name, each in document["replies"].items()}
        return cls({str(k): float(v) for k, v in document["steps"].items()}, replies, int(document["runs"]))


def measured_rates(out: Path) -> Rates:
    """Measure the rates in the newest runs under ``out`` that ran on this machine."""
    steps: dict[str, list[float]] = defaultdict(list)
    replies: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    this_machine, runs = machine(), 0
    # A median is robust against runs that shared the machine with others
    for path in _newest(out):
        summary = _of_run(path, this_machine)
        if summary is None:
            continue
        runs += 1
        name, rate, model, typical = summary
        if rate is not None:
            steps[name].append(rate)
        if typical is not None:
            replies[model].append(typical)
    return Rates(
        {name: median(rates) for name, rates in steps.items()},
        {model: Replies(*(median(column) for column in zip(*rows, strict=True))) for model, rows in replies.items()},
        runs,
    )


def _newest(out: Path) -> list[Path]:
    """Return the newest databases under ``out``, including those of sweeps."""
    dated: list[tuple[float, Path]] = []
    for folder, folders, files in os.walk(out):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if FILE_NAME in files:
            folders.clear()  # runs are not nested
            path = Path(folder) / FILE_NAME
            dated.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(dated, reverse=True)[:NEWEST]]


def _of_run(
    path: Path, here: Mapping[str, str]
) -> tuple[str, float | None, str, tuple[float, float, float] | None] | None:
    """Read one run's kind, steps per second and thread, author and replies; None if it tells nothing."""
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error:
        return None
    try:
        # Where and how it ran
        meta = {key: json.loads(value) for key, value in _rows(connection, "SELECT key, value FROM meta")}
        config, run_machine = meta["config"], meta["machine"]
        if run_machine != here:
            return None
        threads = int(config["threads"]) or int(run_machine["processors"])
        # Speed of its own trainings; those of baselines may have been copied from another run
        ((steps, seconds),) = _rows(
            connection,
            "SELECT TOTAL(steps), TOTAL(seconds) FROM trainings WHERE owner NOT IN ('final/expert', 'final/sparse')",
        )
        # Calls and replies
        ((calls,),) = _rows(connection, "SELECT COUNT(*) FROM calls WHERE error = ''")
        ((count, prompt, completion, waited),) = _rows(
            connection, "SELECT COUNT(*), TOTAL(prompt_tokens), TOTAL(completion_tokens), AVG(seconds) FROM replies"
        )
        name = _name(config["task"], config["training"]["trainer"], config["sim"])
        rate = steps / seconds / threads if steps >= ENOUGH and seconds > 0 else None
        typical = (prompt / calls, completion / count, waited) if calls and count and prompt else None
        return name, rate, str(meta["author"]), typical
    except (sqlite3.Error, ValueError, KeyError, TypeError):
        return None
    finally:
        connection.close()


def _rows(connection: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query."""
    yield from connection.execute(query)


def _name(task: str, trainer: str, sim: str) -> str:
    """Return the key of a speed: task, trainer and simulator."""
    return f"{task} {trainer}" + (" on warp" if sim == "warp" else "")
