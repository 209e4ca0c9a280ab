"""What is said to the other roles of a method: to a critic of programs, and to an analyser of episodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rewardgen.program import without_thoughts
from rewardgen.prompting.conversation import REPLY_LIMIT
from rewardgen.prompting.templates import render
from rewardgen.prompting.view import task_view
from rewardgen.quoting import long_text, quoted
from rewardgen.records import Message
from rewardgen.tasks import Task

_VERDICT = re.compile(r"^\W*verdict\W+(accept|revise)\b", re.IGNORECASE | re.MULTILINE)


def review(task: Task, source: str, form: str = "reward", prompts_dir: Path | None = None) -> list[Message]:
    """Asks a critic whether a program does what it is meant to do. It answers ``verdict: accept`` or ``revise``.

    Raises:
        ConfigError: a template is missing or wrong.
    """
    view = task_view(task)
    return [
        Message("system", render("critic.j2", prompts_dir, task=view, form=form)),
        Message("user", render("critic_task.j2", prompts_dir, task=view, source=_fenced(source), form=form)),
    ]


def objections(reply: str) -> str | None:
    """What a critic wants changed; None if it accepts, or gave no verdict that could be acted on."""
    reply = without_thoughts(reply)
    found = _VERDICT.search(reply)
    if found is None or found.group(1).lower() == "accept":
        return None
    return reply[found.end() :].strip()


def revise(messages: Sequence[Message], reply: str, objected: str, prompts_dir: Path | None = None) -> list[Message]:
    """``messages`` continued by the author's reply and by what a critic says of it.

    Raises:
        ConfigError: a template is missing or wrong.
    """
    said = long_text(without_thoughts(reply), REPLY_LIMIT).strip()
    told = render("revise.j2", prompts_dir, objections=quoted(objected) or "> (no reason was given)")
    return [*messages, Message("assistant", said), Message("user", told)]


def analysis(task: Task, source: str, watched: str, prompts_dir: Path | None = None) -> list[Message]:
    """Asks an analyser why a policy does what it was seen to do. It answers in lines that begin with ``finding:``.

    Args:
        source: the reward that the policy was trained with.
        watched: its episodes in numbers.

    Raises:
        ConfigError: a template is missing or wrong.
    """
    view = task_view(task)
    told = render("analyser_task.j2", prompts_dir, task=view, source=_fenced(source), watched=watched.strip())
    return [Message("system", render("analyser.j2", prompts_dir, task=view)), Message("user", told)]


def _fenced(source: str) -> str:
    return f"```python\n{source.strip()}\n```"
