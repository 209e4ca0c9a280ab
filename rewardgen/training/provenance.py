"""What the results of trainings follow from: the task's file and model, settings, code, versions and machine.

Stored results are used again, and saved trainings continued, only while none of it has changed.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

import rewardgen
from rewardgen.config import Config
from rewardgen.sim import EnvironmentSpec
from rewardgen.sim.machine import processor, versions
from rewardgen.tasks import EnvironmentTask, Task

_ROOMS = ("sim", "tasks", "training", "evaluation")
"""The rooms whose code decides the numbers."""


def origin(task: Task, config: Config) -> dict[str, Any]:
    """Return all that trainings of ``task`` follow from but their rewards and seeds, as plain JSON values.

    This reads the task's file and writes out its compiled model, so call it once for several trainings.

    Args:
        config: with the simulator and the device that "auto" was resolved to.
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
    package = Path(rewardgen.__file__).parent
    return _digest([path for room in _ROOMS for path in sorted((package / room).glob("*.py"))])


def _digest(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _compiled(model: mujoco.MjModel | EnvironmentSpec) -> bytes:
    if isinstance(model, EnvironmentSpec):
        return repr(model).encode()
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()
