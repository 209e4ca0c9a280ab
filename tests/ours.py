"""The tasks that the tests go over: those whose worlds are simulated here, known without loading any."""

from __future__ import annotations

from functools import cache

from rewardgen.tasks import EnvironmentTask, Task, declared_tasks, load_task

_OURS = [task for task in declared_tasks() if not issubclass(task, EnvironmentTask)]
TASKS = [task.name for task in _OURS]
MATCHED = [task.name for task in _OURS if task.gymnasium_id is not None]
"""Those that match an environment of Gymnasium."""


@cache
def loaded(name: str) -> Task:
    """Load a task once for all tests that only read it: compiling and checking it takes longer than most of them."""
    return load_task(name)
