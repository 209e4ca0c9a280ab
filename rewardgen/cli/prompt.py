"""``rewardgen prompt``: what a language model would be told."""

from __future__ import annotations

from rewardgen.cli.options import Envs, Json, Prompts, TaskName, folders, template_folder
from rewardgen.cli.output import print_json, write


def prompt(task: TaskName, envs: Envs = None, prompts: Prompts = None, json: Json = False) -> None:
    """Print what the language model would be told first about a task. Nothing is sent."""
    from rewardgen.prompting import messages, render_prompt
    from rewardgen.tasks import load_task

    loaded, templates = load_task(task, folders(envs)), template_folder(prompts)
    if json:
        print_json({"task": task, "messages": messages(loaded, (), (), templates)})
    else:
        write(render_prompt(loaded, templates))
