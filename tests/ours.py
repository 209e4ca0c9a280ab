"""The tasks that the tests go over: those whose worlds are simulated here, known without loading any."""

from __future__ import annotations

from rewardgen.tasks import EnvironmentTask, declared_tasks

TASKS = [task.name for task in declared_tasks() if not issubclass(task, EnvironmentTask)]
MATCHED = [task.name for task in declared_tasks() if task.name in TASKS and task.gymnasium_id is not None]
"""Those that match an environment of Gymnasium."""
