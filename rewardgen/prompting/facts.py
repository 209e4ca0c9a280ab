"""Return the facts of requests: the content of their messages as values."""

from __future__ import annotations

from rewardgen.program import shaping
from rewardgen.prompting.view import TaskView, short
from rewardgen.records import Field
from rewardgen.request import TaskFacts
from rewardgen.tasks import Task

UNBOUNDED = 1e6
"""An action bound of at least this size counts as infinite."""


def task_facts(task: Task, view: TaskView) -> TaskFacts:
    """Return what every prompt shows of a task."""
    bounds = [abs(short(value)) for value in (*task.action_low.tolist(), *task.action_high.tolist())]
    return TaskFacts(
        description=view.description,
        fields=tuple(
            Field(item.name, item.shape, item.unit.strip(), " ".join(item.meaning.split())) for item in view.fields
        ),
        action_size=0 if task.action_choices else view.action_size,  # one-hot columns cost no effort
        action_limit=max((bound for bound in bounds if 0 < bound < UNBOUNDED), default=1.0),
        control_step=view.control_step,
        fitness_unit=view.fitness_unit,
        causes=view.causes,
        helpers=frozenset(shaping.__all__),
    )
