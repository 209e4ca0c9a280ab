"""How fast this machine trains and how long replies are: from the runs that are kept on it, else assumed."""

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
"""Runs that are looked at, the newest."""
ENOUGH = 20_000
"""Environment steps from which on a run's speed says something."""

STEPS_PER_THREAD = 20_000.0
"""Environment steps a second on one processor where nothing was measured: what HalfCheetah has (docs/performance.md).
Bodies with many contacts have less."""
PROMPT_TOKENS, REPLY_TOKENS, REPLY_SECONDS = 3_500.0, 700.0, 30.0
"""Of a call's prompt, of one reply, and how long one call takes, where no model was asked before."""


@dataclass(frozen=True)
class Replies:
    """What a model's replies came to: tokens of a call's prompt, tokens of a reply, seconds of a call."""

    prompt_tokens: float = PROMPT_TOKENS
    reply_tokens: float = REPLY_TOKENS
    seconds: float = REPLY_SECONDS


@dataclass(frozen=True)
class Rates:
    """``steps`` are environment steps a second on one processor, by task; ``replies`` are by model.

    ``runs`` says how many runs they were measured in; none: everything is assumed.
    """

    steps: Mapping[str, float] = field(default_factory=dict)
    replies: Mapping[str, Replies] = field(default_factory=dict)
    runs: int = 0

    def of_task(self, config: Config) -> float:
        """Environment steps a second on one processor: this task's, else the median of others', else assumed."""
        name = _name(config.task, config.training.trainer, config.sim)
        if name in self.steps:
            return self.steps[name]
        kind = name.partition(" ")[2]
        alike = [rate for other, rate in self.steps.items() if other.partition(" ")[2] == kind]
        return median(alike) if alike else STEPS_PER_THREAD

    def of_model(self, model: str) -> Replies:
        return self.replies.get(model, Replies())

    def measured(self, config: Config) -> bool:
        """Whether this very task's speed is known."""
        return _name(config.task, config.training.trainer, config.sim) in self.steps

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Rates:
        """What ``document`` gave."""
        replies = {str(name): Replies(**each) for name, each in document["replies"].items()}
        return cls({str(k): float(v) for k, v in document["steps"].items()}, replies, int(document["runs"]))


def measured_rates(out: Path) -> Rates:
    """The rates in the newest runs under ``out`` that took place on this machine."""
    steps: dict[str, list[float]] = defaultdict(list)
    replies: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    here, runs = machine(), 0
    for path in _newest(out):
        found = _of_run(path, here)
        if found is None:
            continue
        runs += 1
        name, rate, model, answered = found
        if rate is not None:
            steps[name].append(rate)
        if answered is not None:
            replies[model].append(answered)
    return Rates(
        {name: median(rates) for name, rates in steps.items()},
        {model: Replies(*(median(column) for column in zip(*rows, strict=True))) for model, rows in replies.items()},
        runs,
    )


def _newest(out: Path) -> list[Path]:
    found: list[tuple[float, Path]] = []
    for folder, folders, files in os.walk(out):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if FILE_NAME in files:
            folders.clear()  # no runs within runs
            path = Path(folder) / FILE_NAME
            found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found, reverse=True)[:NEWEST]]


def _of_run(
    path: Path, here: Mapping[str, str]
) -> tuple[str, float | None, str, tuple[float, float, float] | None] | None:
    """One run's kind, its steps a second on one processor, its author and its replies; None if it tells nothing."""
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error:
        return None
    try:
        meta = {key: json.loads(value) for key, value in _rows(connection, "SELECT key, value FROM meta")}
        config, made_on = meta["config"], meta["machine"]
        if made_on != here:
            return None
        threads = int(config["threads"]) or int(made_on["processors"])
        # the expert's and the sparse reward's trainings may have been copied from another run
        ((taken, seconds),) = _rows(
            connection,
            "SELECT TOTAL(steps), TOTAL(seconds) FROM trainings WHERE owner NOT IN ('final/expert', 'final/sparse')",
        )
        ((calls,),) = _rows(connection, "SELECT COUNT(*) FROM calls WHERE error = ''")
        ((count, prompt, completion, waited),) = _rows(
            connection, "SELECT COUNT(*), TOTAL(prompt_tokens), TOTAL(completion_tokens), AVG(seconds) FROM replies"
        )
        name = _name(config["task"], config["training"]["trainer"], config["sim"])
        rate = taken / seconds / threads if taken >= ENOUGH and seconds > 0 else None
        answered = (prompt / calls, completion / count, waited) if calls and count and prompt else None
        return name, rate, str(meta["author"]), answered
    except (sqlite3.Error, ValueError, KeyError, TypeError):
        return None
    finally:
        connection.close()


def _rows(connection: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    yield from connection.execute(query)


def _name(task: str, trainer: str, sim: str) -> str:
    return f"{task} {trainer}" + (" on warp" if sim == "warp" else "")
