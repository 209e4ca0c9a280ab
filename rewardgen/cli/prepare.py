"""``rewardgen prepare``: install the Python that a task's environment runs in."""

from __future__ import annotations

from rewardgen.cli.options import Envs, TaskName, folders
from rewardgen.cli.output import note, write


def prepare(task: TaskName, envs: Envs = None) -> None:
    """Install what a task's environment needs into its own Python, if its YAML file asks for one."""
    from rewardgen.tasks import requirements_of
    from rewardgen.tasks.interpreter import prepare as make

    wanted = requirements_of(task, folders(envs))
    if wanted is None:
        write(f"{task} needs no Python of its own; nothing to install")
        return
    if not wanted.ready:
        note(f"installing {', '.join(wanted.requirements)}")
    write(f"{task} runs in {make(wanted)}")
