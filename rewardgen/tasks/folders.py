"""Find the folders that are searched for task files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rewardgen.errors import TaskError
from rewardgen.tasks.blame import own_envs_dir

ENVS_VARIABLE = "REWARDGEN_ENVS"
"""Further folders with task files, separated as in PATH."""
ENTRY_POINTS = "rewardgen.envs"
"""A package's entry points of this group name modules with task files."""


def task_folders(envs_dirs: Sequence[Path | str]) -> list[Path]:
    """List the folders to search for task files, rewardgen's own first, without duplicates.

    Raises:
        TaskError: one of them does not exist.
    """
    named = [Path(part) for part in os.environ.get(ENVS_VARIABLE, "").split(os.pathsep) if part]
    folders: list[Path] = []
    for folder in [own_envs_dir(), *(Path(part) for part in envs_dirs), *named]:
        if not folder.is_dir():
            raise TaskError(f"there is no folder {folder} with task files; check --envs and {ENVS_VARIABLE}")
        if folder.resolve() not in folders:
            folders.append(folder.resolve())
    return folders


def task_files(folder: Path, pattern: str) -> list[Path]:
    """List the possible task files of ``folder`` by name; a leading underscore excludes a file."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("_"))
