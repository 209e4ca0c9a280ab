"""``rewardgen prompt``: print what a language model would be told."""

from __future__ import annotations

from typing import Annotated

import typer

from rewardgen.cli.options import Envs, Json, Prompts, TaskName, folders, template_folder
from rewardgen.cli.output import print_json, write


def prompt(
    task: TaskName,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="Prompt of this search method [default: the default method].")
    ] = None,
    envs: Envs = None,
    prompts: Prompts = None,
    json: Json = False,
) -> None:
    """Print the first prompt of a search for a task. Nothing is sent."""
    from rewardgen.config import SearchConfig
    from rewardgen.prompting import generation, render_prompt
    from rewardgen.search import load_method
    from rewardgen.tasks import load_task

    # What the method changes in the prompt
    manner = load_method(method or SearchConfig().method).manner
    loaded, templates = load_task(task, folders(envs)), template_folder(prompts)
    if json:
        print_json({"task": task, "messages": generation(loaded, (), (), templates, manner).messages})
    else:
        write(render_prompt(loaded, templates, manner))
