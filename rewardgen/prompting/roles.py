"""Build the requests to a method's other roles: a critic of programs and an analyser of episodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rewardgen.program import without_thoughts
from rewardgen.prompting.conversation import REPLY_LIMIT, followed
from rewardgen.prompting.facts import task_facts
from rewardgen.prompting.templates import in_both_words, render
from rewardgen.prompting.view import task_view
from rewardgen.quoting import long_text, quoted, quoted_lines
from rewardgen.records import Form, Message
from rewardgen.request import EpisodeFacts, Facts, Request
from rewardgen.tasks import Task

_VERDICT = re.compile(r"^\W*verdict\W+(accept|revise)\b", re.IGNORECASE | re.MULTILINE)


def review(task: Task, source: str, form: Form = "reward", prompts_dir: Path | None = None) -> Request:
    """Ask a critic whether a program rewards the described task. It answers ``verdict: accept`` or ``revise``.

    Raises:
        ConfigError: a template is missing or wrong.
    """
    view = task_view(task)
    values = {"task": view, "form": form, "source": _fenced(source)}
    own, ours = in_both_words(prompts_dir, lambda folder: _pair("critic.j2", "critic_task.j2", folder, values))
    return Request.worded("review", own, ours, Facts(task=task_facts(task, view), form=form, source=source.strip()))


def objections(reply: str) -> str | None:
    """Return what a critic wants changed; None if it accepts or its verdict cannot be parsed."""
    # The reasoning of a model may mention both verdicts
    reply = without_thoughts(reply)
    found = _VERDICT.search(reply)
    if found is None or found.group(1).lower() == "accept":
        return None
    return reply[found.end() :].strip()


def revision(request: Request, reply: str, objected: str, prompts_dir: Path | None = None) -> Request:
    """Send a reply to ``request`` back to its author, with a critic's objections.

    Raises:
        ConfigError: a template is missing or wrong.
    """
    said = long_text(without_thoughts(reply), REPLY_LIMIT).strip()
    # Quoted: the critic's text must not read as instructions of ours
    shown = quoted(objected) or "> (no reason was given)"
    told = in_both_words(prompts_dir, lambda folder: render("revise.j2", folder, objections=shown))
    # The latest message counts: problems of earlier attempts are settled
    facts = replace(request.facts, objections=tuple(quoted_lines(objected)), problems=())
    return followed(request, "revision", said, told, facts)


def analysis(
    task: Task, source: str, watched: str, episodes: Sequence[EpisodeFacts] = (), prompts_dir: Path | None = None
) -> Request:
    """Ask an analyser to explain a policy's behaviour. It answers in lines that begin with ``finding:``.

    Args:
        source: the reward that the policy was trained with.
        watched: measurements of its episodes, as text.
        episodes: the same as values.

    Raises:
        ConfigError: a template is missing or wrong.
    """
    view = task_view(task)
    values = {"task": view, "source": _fenced(source), "watched": watched.strip()}
    own, ours = in_both_words(prompts_dir, lambda folder: _pair("analyser.j2", "analyser_task.j2", folder, values))
    facts = Facts(task=task_facts(task, view), source=source.strip(), episodes=tuple(episodes))
    return Request.worded("analysis", own, ours, facts)


def _pair(system: str, user: str, prompts_dir: Path | None, values: dict[str, Any]) -> list[Message]:
    return [
        Message("system", render(system, prompts_dir, **values)),
        Message("user", render(user, prompts_dir, **values)),
    ]


def _fenced(source: str) -> str:
    return f"```python\n{source.strip()}\n```"
