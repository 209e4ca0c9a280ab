"""The register of tasks: what ``@register`` notes down while a task file is loaded."""

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
    """What ``@register`` sees within this block ends up in the mapping that it gives."""
    found: Registrations = {}
    token = _loading.set(found)
    try:
        yield found
    finally:
        _loading.reset(token)


def register(name: str, where: tuple[str, int] | None = None) -> Callable[[T], T]:
    """Class decorator: this subclass of ``Task`` is the task ``name`` ("domain/task", in lower case).

    Args:
        where: the file and line to name in messages, where they are not those of the class.

    Raises:
        TaskError: the name has another form, the file has a task of that name already, or the class is no Task.
    """

    def decorate(task: T) -> T:
        entry = Entry(name, task, *(where or _where(task)))
        if not (isinstance(task, type) and issubclass(task, Task)):
            raise TaskError(f"{entry.where}: @register({name!r}) stands on something that is no subclass of Task")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise TaskError(
                f"{entry.where}: a task's name is domain/task in lower-case letters, digits and _, such as "
                f"pendulum/swingup, not {name!r}"
            )
        task.name = name
        found = _loading.get()
        if found is not None:
            add(found, entry)
        return task

    return decorate


def add(found: Registrations, entry: Entry) -> None:
    """Note ``entry`` down in ``found``.

    Raises:
        TaskError: there is a task of that name already.
    """
    if entry.name in found:
        raise TaskError(
            f"{entry.where}: the task {entry.name!r} is registered twice, first at {found[entry.name].where}; "
            "give one of them another name"
        )
    found[entry.name] = entry


def _where(task: object) -> tuple[str, int]:
    """The file and line of a class."""
    try:
        return inspect.getsourcefile(task) or "?", inspect.getsourcelines(task)[1]  # type: ignore[arg-type]
    except (OSError, TypeError):
        return getattr(inspect.getmodule(task), "__file__", None) or "?", 0
