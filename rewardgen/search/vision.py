"""A vision model as the judge: it is shown frames of two replays and says which is better, and why."""

from __future__ import annotations

import json
import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rewardgen import prompting, replay
from rewardgen.config import Config
from rewardgen.errors import ConfigError
from rewardgen.program import without_thoughts
from rewardgen.quoting import one_line
from rewardgen.records import Answer
from rewardgen.replay.recording import model_of
from rewardgen.search.run import Call, Run
from rewardgen.sim.rendering import renderer
from rewardgen.tasks import Task

FRAMES = 6
"""Of each replay, at equal distances in time."""
REASON_LIMIT = 600
"""Characters that are kept of a reason."""
_FENCE = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n```\Z", re.DOTALL)


class _Said(BaseModel):
    """The one form of an answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    answer: Literal["left", "right", "equal", "unsure"]
    reason: str


def check(config: Config, task: Task) -> None:
    """That a vision model is named, and that this machine can draw what it is to be shown.

    Raises:
        ConfigError: no vision model is named.
        SimulationFailed, ReplayError: nothing can be drawn here; the message says what to do.
    """
    model = config.search.judging.model
    if model in ("", "auto", "offline") or model.startswith("replay"):
        raise ConfigError(f"{model or 'nothing'!r} is no vision model: name one with --judge vlm:MODEL")
    model_of(task)
    renderer()


def look(run: Run, key: str, left: str, right: str, seed: int) -> tuple[Answer, str]:
    """What the run's vision model says of two replays, and its reason; kept under ``key``, so never paid twice.

    An answer of another form than was asked for counts as "unsure", and is said.

    Raises:
        LLMError, BudgetExceeded: the model cannot be asked.
        SimulationFailed, ReplayError: there are no frames to show.
    """
    assert run.viewer is not None  # made with the run, when its settings ask for a vision model
    if (replies := run.store.replies(key)) is None:
        frames = [_frames(run, shown) for shown in (left, right)]
        request = prompting.judging(run.task, frames[0], frames[1], run.prompts_dir)
        replies = run.ask_all([Call(key, request, 1, seed)], run.viewer)[0]
    found = parse(replies[0].text)
    if found is None:
        run.warn(f"what the vision model said of {left} and {right} is no answer: {one_line(replies[0].text, 120)}")
        return "unsure", ""
    return found


def _frames(run: Run, shown: str) -> list[bytes]:
    candidate, _, start = shown.rpartition(".")
    replay.ensure(run.store.run_dir, candidate, starts=int(start) + 1)
    return replay.stills(run.store.run_dir, shown, FRAMES)


def parse(text: str) -> tuple[Answer, str] | None:
    """The answer and its reason, where ``text`` is one JSON object with just these, in a fence or not; else None."""
    bare = without_thoughts(text).strip()
    if fenced := _FENCE.match(bare):
        bare = fenced[1]
    try:
        said = _Said.model_validate(json.loads(bare))
    except (ValueError, ValidationError, RecursionError):
        return None
    return said.answer, one_line(said.reason, REASON_LIMIT)
