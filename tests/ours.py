"""The tasks that the tests go over: those whose worlds are simulated here, known without loading any."""

from __future__ import annotations

from rewardgen.tasks import EnvironmentTask, declared_tasks

_OURS = [task for task in declared_tasks() if not issubclass(task, EnvironmentTask)]
TASKS = [task.name for task in _OURS]
MATCHED = [task.name for task in _OURS if task.gymnasium_id is not None]
"""Those that match an environment of Gymnasium."""
