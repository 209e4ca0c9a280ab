"""Tells an error of a user's task file from one of rewardgen itself."""

from __future__ import annotations

import traceback
from pathlib import Path

from rewardgen.errors import RewardgenError, TaskError

MODULE_PREFIX = "_rewardgen_envs_"
"""What the private names of task files' modules begin with."""
_PACKAGE = Path(__file__).resolve().parents[1]


def own_envs_dir() -> Path:
    """The folder of rewardgen's own tasks: in the repository, or inside the package where a wheel was installed."""
    packaged, beside = _PACKAGE / "_data" / "envs", _PACKAGE.parent / "envs"
    return packaged if packaged.is_dir() else beside


def task_fault(error: BaseException) -> TaskError | None:
    """``error`` as one of the task file that it came through, with file and line; None: of no user's task file.

    What rewardgen raises on purpose says itself what is wrong.
    """
    if isinstance(error, RewardgenError) or not isinstance(error, Exception):
        return None
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
