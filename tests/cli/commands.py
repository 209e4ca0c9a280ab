"""Runs ``rewardgen`` in this process, as the console script would, and small searches for tests to look at."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewardgen.cli import main


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document that it must be, NaN and infinity refused."""

        def refuse(name: str) -> None:
            raise ValueError(f"{name} is no JSON")

        return json.loads(self.out, parse_constant=refuse)


def rewardgen(*arguments: object) -> Result:
    """``rewardgen *arguments``."""
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    return Result(code, out.getvalue(), err.getvalue())


SMALL = (
    "--steps", "512", "--report-seeds", "2", "--threads", "1", "--llm", "offline",
    "--set", "training.worlds=8", "--set", "training.rollout=16", "--set", "training.checkpoints=1",
    "--set", "training.epochs=1", "--set", "training.minibatches=2",
    "--set", "training.checkpoint_episodes=1", "--set", "training.score_episodes=1",
    "--set", "evaluation.report_episodes=2",
    "--set", "evaluation.resamples=100",
)  # fmt: skip
"""Flags that make a search last seconds."""


def small_search(out: Path, name: str, *more: object, task: str = "reacher/reach") -> Result:
    return rewardgen("run", task, "--generations", 1, "--candidates", 2, *SMALL, "--out", out, "--name", name, *more)
