"""Cache the declarations of task files, so that listings need not execute them.

Executing a task file loads torch and MuJoCo, which takes seconds. The declarations of a folder are therefore cached
under a digest of its files and of the code that reads them. A folder is not cached if its files import anything whose
change the digest would miss.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rewardgen import files
from rewardgen.errors import MissingPackage, TaskError
from rewardgen.tasks.assets import absent
from rewardgen.tasks.folders import ENTRY_POINTS, task_files, task_folders
from rewardgen.tasks.interpreter import Requirements, cache_folder, interpreter

if TYPE_CHECKING:
    from rewardgen.tasks.base import Task

# Modules that a cached task file may import: their content does not change what the file declares
_KNOWN = {"__future__", "abc", "collections", "dataclasses", "enum", "functools", "itertools", "math", "pathlib",
          "typing", "gymnasium", "mujoco", "numpy", "rewardgen", "scipy", "torch"}  # fmt: skip
_PACKAGE = Path(__file__).resolve().parents[1]
_MOST_FILES = 2000  # max. other files in a cached folder
_CODE = ("tasks/*.py", "sim/*.py", "records/*.py", "config/*.py", "yaml.py")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Listed(_Strict):
    """One declared task.

    ``facts`` are its declarations as plain values, ``package`` the import name and what pip installs of the package
    that its model comes with, ``python`` the interpreter that its environment asks for.
    """

    name: str
    file: str
    facts: dict[str, Any]
    package: tuple[str, str] | None = None
    python: str | Requirements | None = None

    @property
    def missing(self) -> MissingPackage | None:
        """What must be installed before the task can be made, or None."""
        if self.package is not None:
            return absent(*self.package, f"the model of {self.name}")
        try:
            interpreter(self.python, Path(self.file), self.name)
        except MissingPackage as missing:
            return missing
        except TaskError:  # a missing interpreter is reported when the task is made
            return None
        return None


class _Folder(_Strict):
    """The cached declarations of one folder."""

    digest: str
    tasks: tuple[Listed, ...]
    without: tuple[Path, ...]


@dataclass(frozen=True)
class Catalogue:
    """All declared tasks, sorted by name, and the files that are executed although they register none."""

    tasks: list[Listed]
    without: list[Path]


def catalogue(envs_dirs: Sequence[Path | str] = ()) -> Catalogue:
    """Return what ``declared_tasks`` and ``files_without_tasks`` find, without executing files that have not changed.

    Raises:
        TaskError: a task file raises, two tasks have one name, or one declares something wrongly.
    """
    if not entry_points(group=ENTRY_POINTS):
        kept = [_kept(folder) for folder in task_folders(envs_dirs)]
        tasks = [task for each in kept if each is not None for task in each.tasks]
        if None not in kept and len({task.name for task in tasks}) == len(tasks):
            without = [path for each in kept if each is not None for path in each.without]
            return Catalogue(sorted(tasks, key=lambda task: task.name), without)
    return _executed(envs_dirs)


def listed(task: Task | type[Task]) -> Listed:
    """Return what a task declares, without compiling a model or starting an environment."""
    from rewardgen.tasks.adapter import EnvironmentTask

    cls = task if isinstance(task, type) else type(task)
    facts = {
        "name": task.name,
        "group": task.group,
        "description": " ".join(task.description.split()),
        "fields": [field.facts for field in task.fields if not field.hidden],
        "horizon": task.horizon,
        "fitness_unit": task.fitness_unit,
        "fitness_meaning": task.fitness_meaning,
        "success_threshold": task.success_threshold,
        "expert_source": task.expert_source,
        "gymnasium_id": task.gymnasium_id,
        "training": dict(task.training),
    }
    declared = cls.declaration.environment.python if issubclass(cls, EnvironmentTask) else None
    file = str(cls.file) if issubclass(cls, EnvironmentTask) else ""
    return Listed(name=task.name, file=file, facts=facts, package=task.package, python=declared)


def _executed(envs_dirs: Sequence[Path | str]) -> Catalogue:
    """Execute the task files and cache what they declare."""
    from rewardgen.tasks.adapter import EnvironmentTask
    from rewardgen.tasks.base import Task
    from rewardgen.tasks.loader import declared_by_folder, declared_tasks

    classes = declared_tasks(envs_dirs)  # raises for all folders together
    found = declared_by_folder(envs_dirs)
    ordinary = (Task.missing.__func__, EnvironmentTask.missing.__func__)  # type: ignore[attr-defined]
    for folder, registered in found.items():
        tasks = [task for entries in registered.values() for task in entries]
        # A task with its own check of what is missing cannot be cached
        if all(task.missing.__func__ in ordinary for task in tasks):  # type: ignore[attr-defined]
            without = tuple(path for path, entries in registered.items() if not entries)
            _keep(folder, [listed(task) for task in tasks], without)
    without = tuple(path for registered in found.values() for path, entries in registered.items() if not entries)
    return Catalogue([listed(task) for task in classes], list(without))


def _kept(folder: Path) -> _Folder | None:
    """Read the cache of a folder; None if there is none or its files have changed."""
    try:
        kept = _Folder.model_validate_json(_place(folder).read_bytes())
    except (OSError, ValidationError):
        return None
    return kept if kept.digest == _digest(folder) else None


def _keep(folder: Path, tasks: Iterable[Listed], without: tuple[Path, ...]) -> None:
    digest = _digest(folder)
    if digest is None:
        return
    text = _Folder(digest=digest, tasks=tuple(tasks), without=without).model_dump_json()
    try:
        files.write_text(_place(folder), text)
    except OSError:  # the cache is optional
        pass


def _place(folder: Path) -> Path:
    return cache_folder() / "tasks" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.json"


def _digest(folder: Path) -> str | None:
    """Hash the task files and the code that reads them; None if a declaration may depend on anything else."""
    found = hashlib.sha256(repr((str(folder), sys.version_info[:2])).encode())
    code = [path for pattern in _CODE for path in sorted(_PACKAGE.glob(pattern))]
    try:
        for path in (*code, *task_files(folder, "*.yaml"), *task_files(folder, "*.py")):
            content = path.read_bytes()
            found.update(repr((str(path), len(content))).encode() + content)
            if path.parent == folder and path.suffix == ".py" and not _plain(content):
                return None
        # Other files may be large: their size and time of change stand for the content
        for path in _others(folder):
            stat = path.stat()
            found.update(repr((str(path), stat.st_size, stat.st_mtime_ns)).encode())
    except (OSError, _TooMany):
        return None
    return found.hexdigest()


class _TooMany(Exception):
    """A folder holds too many files to check for changes."""


def _others(folder: Path) -> list[Path]:
    """List the other files below ``folder``, such as models that a task file reads."""
    found: list[Path] = []
    for path in folder.rglob("*"):
        if (
            "__pycache__" not in path.parts
            and path.is_file()
            and not (path.parent == folder and path.suffix in (".py", ".yaml"))
        ):
            found.append(path)
        if len(found) > _MOST_FILES:
            raise _TooMany
    return sorted(found)


def _plain(source: bytes) -> bool:
    """Return whether a Python file imports only known modules and opens or executes nothing."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Name) and node.id in ("__import__", "open", "exec", "eval"):
            return False
    return names <= _KNOWN
