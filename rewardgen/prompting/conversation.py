"""The conversation: what a language model is told first, and what it is told about its own work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rewardgen.program import shaping_reference
from rewardgen.prompting.templates import render
from rewardgen.prompting.view import task_view
from rewardgen.quoting import grouped_errors, long_text, one_line
from rewardgen.records import Message, Outcome, Problem, Turn
from rewardgen.tasks import Task

REPLY_LIMIT = 24_000
"""Characters of a reply that goes back for repair; a longer one loses its middle."""
PROBLEM_LIMIT = 400
"""Characters of one problem's message."""
PROBLEMS = 12
"""Problems named in one repair message."""


def messages(
    task: Task, turns: Sequence[Turn], failures: Sequence[Outcome] = (), prompts_dir: Path | None = None
) -> list[Message]:
    """The conversation that asks for the next reward.

    System and task first; then, for each turn of the history, the code as the assistant's own message and what became
    of it as the user's. Roles alternate throughout, which some servers insist on.

    Args:
        task: what the reward is for.
        turns: the best candidates of the generations so far, oldest first.
        failures: the outcomes of the last generation when all of it failed; told at the end.
        prompts_dir: templates of the user's own (see ``render``).

    Raises:
        ConfigError: a template is missing or wrong.
    """
    view = task_view(task)
    conversation = [
        Message("system", render("system.j2", prompts_dir, task=view, shaping=shaping_reference().strip())),
        Message("user", render("task.j2", prompts_dir, task=view)),
    ]
    for number, turn in enumerate(turns, start=1):
        last = number == len(turns)
        told = render("feedback.j2", prompts_dir, task=view, reflection=turn.reflection.strip(), last=last)
        conversation += [Message("assistant", f"```python\n{turn.source.strip()}\n```"), Message("user", told)]
    if failures:
        errors = grouped_errors(failures, groups=6, limit=240)
        told = render("all_failed.j2", prompts_dir, task=view, count=len(failures), errors=errors)
        conversation[-1] = replace(conversation[-1], content=f"{conversation[-1].content}\n\n{told}")
    return conversation


def repair(
    messages: Sequence[Message], reply_text: str, problems: Sequence[Problem], prompts_dir: Path | None = None
) -> list[Message]:
    """``messages`` continued by the reply that was refused and by what was wrong with it.

    Raises:
        ConfigError: a template is missing or wrong.
    """
    said = long_text(reply_text, REPLY_LIMIT).strip() or "(an empty answer)"
    shown = [one_line(f"{problem.stage}: {problem}", PROBLEM_LIMIT) for problem in problems[:PROBLEMS]]
    copied = any(problem.stage == "copy" for problem in problems)
    told = render("repair.j2", prompts_dir, problems=shown, more=max(0, len(problems) - PROBLEMS), copied=copied)
    return [*messages, Message("assistant", said), Message("user", told)]


def render_prompt(task: Task, prompts_dir: Path | None = None) -> str:
    """What a language model would be told first about ``task``, as text for people to read.

    Raises:
        ConfigError: a template is missing or wrong.
    """
    return "\n\n".join(
        f"──── {message.role} ────\n\n{message.content}" for message in messages(task, (), (), prompts_dir)
    )
