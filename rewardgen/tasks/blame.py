"""Distinguish errors in a user's task file from errors in rewardgen."""

from __future__ import annotations

import traceback
from pathlib import Path

from rewardgen.errors import RewardgenError, TaskError

MODULE_PREFIX = "_rewardgen_envs_"
"""What the private names of task files' modules begin with."""
_PACKAGE = Path(__file__).resolve().parents[1]


def own_envs_dir() -> Path:
    """Return the folder of rewardgen's own tasks: in the repository, or inside the package if installed as a wheel."""
    packaged, beside = _PACKAGE / "_data" / "envs", _PACKAGE.parent / "envs"
    return packaged if packaged.is_dir() else beside


def task_fault(error: BaseException) -> TaskError | None:
    """Convert ``error`` to a TaskError with file and line if it passed through a user's task file; else return None.

    Errors that rewardgen raises on purpose are left alone: their messages say what is wrong.
    """
    if isinstance(error, RewardgenError) or not isinstance(error, Exception):
        return None
    # Frames in task files, outermost first: the last one is where the task failed
    found = [
        (frame.f_code, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__", "")).startswith(MODULE_PREFIX)
    ]
    if not found or Path(found[-1][0].co_filename).is_relative_to(own_envs_dir()):
        return None
    code, line = found[-1]
    return TaskError(
        f"{code.co_filename}:{line}: {code.co_qualname}() failed: {type(error).__name__}: {error}; correct that line"
    )
