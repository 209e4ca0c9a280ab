"""Checks that a task is what it declares: by its declarations alone, then in two worlds."""

from __future__ import annotations

from rewardgen.tasks.base import Task
from rewardgen.tasks.registry import Entry


def check_declaration(entry: Entry) -> None:
    """Raise TaskError unless all that a task must declare is there, of the right type and in range."""


def validate(task: Task, where: str = "") -> None:
    """Raise TaskError unless the task's methods give what its declarations say, in two worlds over a few steps."""
