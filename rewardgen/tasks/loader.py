"""Find task files and load them by path, under private module names, in all folders alike.

Python files hold tasks (``base``), YAML files declare tasks on third-party environments (``adapter``). Modules that
make such environments may lie beside the YAML file: only the workers execute them, perhaps under another Python.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from rewardgen.errors import TaskError, UnknownName
from rewardgen.tasks.adapter import EnvironmentTask, read_tasks
from rewardgen.tasks.base import Task
from rewardgen.tasks.blame import MODULE_PREFIX
from rewardgen.tasks.folders import ENTRY_POINTS, task_files, task_folders
from rewardgen.tasks.interpreter import Requirements
from rewardgen.tasks.registry import Entry, Registrations, add, collecting, register
from rewardgen.tasks.validation import check_declaration, validate

_loaded: dict[str, Registrations] = {}
"""What each file or entry point has registered, by the private name of its module."""


def load_task(name: str, envs_dirs: Sequence[Path | str] = ()) -> Task:
    """Load the task ``name`` and check its declarations against what its methods return.

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
    """List the names of all tasks that ``load_task`` finds, sorted.

    Raises:
        TaskError: a task file raises, or two tasks have one name.
    """
    return sorted(_find(envs_dirs))


def declared_tasks(envs_dirs: Sequence[Path | str] = ()) -> list[type[Task]]:
    """List the classes of all tasks that ``load_task`` finds, sorted by name, without instantiating them.

    Raises:
        TaskError: a task file raises, two tasks have one name, or one declares something wrongly.
    """
    found = _find(envs_dirs)
    for name in found:
        check_declaration(found[name])
    return [found[name].task for name in sorted(found)]


def files_without_tasks(envs_dirs: Sequence[Path | str] = ()) -> list[Path]:
    """List the files that ``load_task`` executes although they register no task.

    Raises:
        TaskError: a task file raises.
    """
    return [path for folder in task_folders(envs_dirs) for path, tasks in _load_folder(folder).items() if not tasks]


def declared_by_folder(envs_dirs: Sequence[Path | str] = ()) -> dict[Path, dict[Path, list[type[Task]]]]:
    """Map each folder to its task files and those to their task classes, without instantiating them.

    Raises:
        TaskError: a task file raises.
    """
    return {
        folder: {path: [entry.task for entry in found.values()] for path, found in _load_folder(folder).items()}
        for folder in task_folders(envs_dirs)
    }


def requirements_of(name: str, envs_dirs: Sequence[Path | str] = ()) -> Requirements | None:
    """Return the requirements of the separate Python of the task ``name``; None if it needs none.

    Raises:
        UnknownName, TaskError: see ``load_task``.
    """
    task = _entry(name, envs_dirs).task
    python = task.declaration.environment.python if issubclass(task, EnvironmentTask) else None
    return python if isinstance(python, Requirements) else None


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
    found: Registrations = {}
    for folder in task_folders(envs_dirs):
        for registered in _load_folder(folder).values():
            _merge(found, registered)
    # Installed packages may provide tasks, too
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        _merge(found, _load(f"entry point {point.value}", f"the entry point {point.name} ({point.value})", point.load))
    return found


def _load_folder(folder: Path) -> dict[Path, Registrations]:
    """Load each task file of ``folder``; return its registrations, sorted by path."""
    # YAML first: the declarations tell which Python files make environments and must not run here
    declared = {path: _load_yaml(path) for path in task_files(folder, "*.yaml")}
    helpers = _environment_modules(folder, declared.values())
    python = {path: _load_file(path) for path in task_files(folder, "*.py") if path not in helpers}
    return dict(sorted({**declared, **python}.items()))


def _environment_modules(folder: Path, declared: Iterable[Registrations]) -> set[Path]:
    """Find the files of ``folder`` that declarations name under ``imports``, and what these import in turn."""
    found: set[Path] = set()
    pending: list[str] = []
    for entry in (entry for registered in declared for entry in registered.values()):
        if issubclass(entry.task, EnvironmentTask):
            pending += entry.task.declaration.environment.imports
    # Follow the imports of helpers to further files of the folder
    while pending:
        path = folder / f"{pending.pop().partition('.')[0]}.py"
        if path not in found and path.is_file():
            found.add(path)
            pending += _imported(path)
    return found


def _imported(path: Path) -> list[str]:
    """List the modules that a Python file imports, without executing it; empty if it is not valid Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # its worker reports the error
        return []
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.append(node.module)
    return names


def _merge(found: Registrations, more: Registrations) -> None:
    for entry in more.values():
        add(found, entry)


def _load_yaml(path: Path) -> Registrations:
    try:
        # The content is part of the key: an edited file is read again
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
    # The content is part of the name: an edited file is loaded again, under a new module
    digest = hashlib.sha256(str(path).encode() + b"\0" + source).hexdigest()[:12]
    name = f"{MODULE_PREFIX}{digest}_{path.stem}"

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
    """Return what ``execute`` registers, cached under ``key``, so that each file is executed once.

    Raises:
        TaskError: the file raised; the message names file and line.
    """
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
    """Return the innermost line of ``path`` in the traceback of ``error``; 0 if there is none."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return (lines[-1] if lines else 0) or 0
