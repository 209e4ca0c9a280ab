"""Collect what ``@register`` declares while a task file is loaded."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from rewardgen.errors import TaskError
from rewardgen.tasks.base import Task

T = TypeVar("T", bound=type[Task])
_NAME = re.compile(r"[a-z][a-z0-9_]*/[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Entry:
    """One registered task: its class, and the file and line that declare it."""

    name: str
    task: type[Task]
    file: str
    line: int

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


Registrations = dict[str, Entry]
_loading: ContextVar[Registrations | None] = ContextVar("_loading", default=None)


@contextmanager
def collecting() -> Iterator[Registrations]:
    """Yield a mapping that collects every ``@register`` within the block."""
    found: Registrations = {}
    token = _loading.set(found)
    try:
        yield found
    finally:
        _loading.reset(token)


def register(name: str, where: tuple[str, int] | None = None) -> Callable[[T], T]:
    """Register the decorated subclass of ``Task`` as ``name`` ("domain/task", in lower case).

    Args:
        where: file and line for messages, if not those of the class.

    Raises:
        TaskError: the name is malformed or taken, or the class is not a Task.
    """

    def decorate(task: T) -> T:
        # Made first: its file and line are part of every error
        entry = Entry(name, task, *(where or _where(task)))
        if not (isinstance(task, type) and issubclass(task, Task)):
            raise TaskError(f"{entry.where}: @register({name!r}) stands on something that is no subclass of Task")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise TaskError(
                f"{entry.where}: a task's name is domain/task in lower-case letters, digits and _, such as "
                f"pendulum/swingup, not {name!r}"
            )
        task.name = name
        # Outside of ``collecting``, as when a test imports a task file, nothing collects
        found = _loading.get()
        if found is not None:
            add(found, entry)
        return task

    return decorate


def add(found: Registrations, entry: Entry) -> None:
    """Add ``entry`` to ``found``.

    Raises:
        TaskError: a task of that name exists already.
    """
    if entry.name in found:
        raise TaskError(
            f"{entry.where}: the task {entry.name!r} is registered twice, first at {found[entry.name].where}; "
            "give one of them another name"
        )
    found[entry.name] = entry


def _where(task: object) -> tuple[str, int]:
    """Return file and line of a class; "?" and 0 if unknown."""
    try:
        return inspect.getsourcefile(task) or "?", inspect.getsourcelines(task)[1]  # type: ignore[arg-type]
    except (OSError, TypeError):
        return getattr(inspect.getmodule(task), "__file__", None) or "?", 0
