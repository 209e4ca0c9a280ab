"""Finds task files and loads them: by path, under private module names, each folder treated like any other.

A file of Python holds tasks of ours (``base``), one of YAML declares tasks on environments of others (``adapter``).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from rewardgen.errors import TaskError, UnknownName
from rewardgen.tasks.adapter import EnvironmentTask, read_tasks
from rewardgen.tasks.base import Task
from rewardgen.tasks.interpreter import Requirements
from rewardgen.tasks.registry import Entry, Registrations, add, collecting, register
from rewardgen.tasks.validation import check_declaration, validate

ENVS_VARIABLE = "REWARDGEN_ENVS"
"""Further folders with task files, separated as in PATH."""
ENTRY_POINTS = "rewardgen.envs"
"""A package's entry points of this group name modules with task files."""

_PACKAGE = Path(__file__).resolve().parents[1]
_loaded: dict[str, Registrations] = {}
"""What each file or entry point has registered, by the private name of its module."""


def load_task(name: str, envs_dirs: Sequence[Path | str] = ()) -> Task:
    """The task ``name``, its declarations checked against what its methods give.

    Args:
        name: "domain/task".
        envs_dirs: folders searched besides rewardgen's own, those in REWARDGEN_ENVS, and installed packages'.

    Raises:
        UnknownName: there is no such task; the message names the nearest.
        TaskError: a task file raises, two tasks have one name, or this one declares something wrongly.
    """
    entry = _entry(name, envs_dirs)
    check_declaration(entry)
    task = entry.task()
    validate(task, entry.where)
    return task


def task_names(envs_dirs: Sequence[Path | str] = ()) -> list[str]:
    """The names of all tasks that ``load_task`` would find, in order.

    Raises:
        TaskError: a task file raises, or two tasks have one name.
    """
    return sorted(_find(envs_dirs))


def declared_tasks(envs_dirs: Sequence[Path | str] = ()) -> list[type[Task]]:
    """The classes of all tasks that ``load_task`` would find, in the order of their names; none is made.

    Raises:
        TaskError: a task file raises, two tasks have one name, or one declares something wrongly.
    """
    found = _find(envs_dirs)
    for name in found:
        check_declaration(found[name])
    return [found[name].task for name in sorted(found)]


def requirements_of(name: str, envs_dirs: Sequence[Path | str] = ()) -> Requirements | None:
    """What the environment of the task ``name`` needs in a Python of its own; None where it needs none.

    Raises:
        UnknownName, TaskError: see ``load_task``.
    """
    task = _entry(name, envs_dirs).task
    python = task.declaration.environment.python if issubclass(task, EnvironmentTask) else None
    return python if isinstance(python, Requirements) else None


def own_envs_dir() -> Path:
    """The folder of rewardgen's own tasks: in the repository, or inside the package where a wheel was installed."""
    packaged, beside = _PACKAGE / "_data" / "envs", _PACKAGE.parent / "envs"
    return packaged if packaged.is_dir() else beside


def _entry(name: str, envs_dirs: Sequence[Path | str]) -> Entry:
    """The task ``name``, neither checked nor made.

    Raises:
        UnknownName: there is no such task; the message names the nearest.
    """
    found = _find(envs_dirs)
    if name not in found:
        raise UnknownName("task", name, found, "(`rewardgen tasks` lists them; --envs DIR adds yours)")
    return found[name]


def _find(envs_dirs: Sequence[Path | str]) -> dict[str, Entry]:
    """All tasks by name."""
    named = [Path(part) for part in os.environ.get(ENVS_VARIABLE, "").split(os.pathsep) if part]
    folders: list[Path] = []
    for folder in [own_envs_dir(), *(Path(part) for part in envs_dirs), *named]:
        if not folder.is_dir():
            raise TaskError(f"there is no folder {folder} with task files; check --envs and {ENVS_VARIABLE}")
        if folder.resolve() not in folders:
            folders.append(folder.resolve())
    found: Registrations = {}
    for folder in folders:
        for path in sorted([*folder.glob("*.py"), *folder.glob("*.yaml")]):
            if not path.name.startswith("_"):
                _merge(found, _load_yaml(path) if path.suffix == ".yaml" else _load_file(path))
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        _merge(found, _load(f"entry point {point.value}", f"the entry point {point.name} ({point.value})", point.load))
    return found


def _merge(found: Registrations, more: Registrations) -> None:
    for entry in more.values():
        add(found, entry)


def _load_yaml(path: Path) -> Registrations:
    try:
        key = f"{path}\0{hashlib.sha256(path.read_bytes()).hexdigest()}"
    except OSError as error:
        raise TaskError(f"cannot read the task file {path}: {error}") from error

    def execute() -> None:
        for name, task in read_tasks(path):
            register(name, where=(str(path), 1))(task)

    return _load(key, str(path), execute, path)


def _load_file(path: Path) -> Registrations:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise TaskError(f"cannot read the task file {path}: {error}") from error
    digest = hashlib.sha256(str(path).encode() + b"\0" + source).hexdigest()[:12]
    name = f"_rewardgen_envs_{digest}_{path.stem}"

    def execute() -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"no loader for {path}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # where inspect looks for the source of its classes
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return _load(name, str(path), execute, path)


def _load(key: str, what: str, execute: Callable[[], object], path: Path | None = None) -> Registrations:
    """What ``execute`` registers; remembered under ``key``, so that a file is executed once."""
    if key not in _loaded:
        with collecting() as found:
            try:
                execute()
            except TaskError:
                raise
            except SyntaxError as error:
                where = f"{error.filename}:{error.lineno}"
                raise TaskError(f"{where}: the task file is not Python: {error.msg}; correct that line") from error
            except Exception as error:
                where = f"{path}:{_line(error, path)}" if path else what
                raise TaskError(
                    f"{where}: the task file raises {type(error).__name__}: {error}; correct it or take the file out "
                    "of that folder"
                ) from error
        _loaded[key] = found
    return _loaded[key]


def _line(error: Exception, path: Path) -> int:
    """The deepest line of ``path`` that ``error`` came through."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return (lines[-1] if lines else 0) or 0
