"""Fingerprint of everything that determines a training's results: task, model, settings, code, versions, machine.

Stored results are reused, and saved trainings resumed, only if the fingerprint is unchanged.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import mujoco

import rewardgen
from rewardgen.config import Config
from rewardgen.sim import EnvironmentSpec
from rewardgen.sim.binary import model_bytes
from rewardgen.sim.machine import processor, versions
from rewardgen.tasks import EnvironmentTask, Task

_ROOMS = ("sim", "tasks", "training", "evaluation")
"""Packages whose code affects the results. Any change to their files, a comment included, counts as a change."""


def origin(task: Task, config: Config) -> dict[str, Any]:
    """Return everything but reward and seed that determines the results of trainings of ``task``, as JSON values.

    This reads the task's file and serialises its compiled model, so call it once for several trainings.

    Args:
        config: its ``sim`` and ``device`` must be resolved, not "auto".
    """
    return {
        "task": task.name,
        "task_file": _digest([task.file if isinstance(task, EnvironmentTask) else Path(inspect.getfile(type(task)))]),
        "model": hashlib.sha256(_compiled(task.model)).hexdigest(),
        "training": config.training.model_dump(mode="json"),
        "evaluation": config.evaluation.model_dump(mode="json"),
        "sim": config.sim,
        "device": config.device,
        "versions": dict(versions()),
        "code": _code(),
        "machine": processor(),
    }


@cache
def _code() -> str:
    """Return a digest of the source files of ``_ROOMS``."""
    package = Path(rewardgen.__file__).parent
    return _digest([path for room in _ROOMS for path in sorted((package / room).glob("*.py"))])


def _digest(paths: Sequence[Path]) -> str:
    """Return the SHA-256 digest of the files' names and contents, in order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _compiled(model: mujoco.MjModel | EnvironmentSpec) -> bytes:
    """Return bytes that identify a model: MuJoCo's binary format, or the text of an environment's specification."""
    if isinstance(model, EnvironmentSpec):
        return repr(model).encode()
    return model_bytes(model)
