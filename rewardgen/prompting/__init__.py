"""Build the requests to a language model from task and history: their messages and their facts.

The text is in ``prompts/*.j2``, one Jinja2 file per message; this package provides the variables. A prompt shows the
task's public declarations: description, fields, actions, timing, causes of termination. It never shows the fitness
code, the success threshold, the expert's reward or the sparse one: templates receive a ``TaskView`` of plain values,
not the task.
"""

from typing import TYPE_CHECKING

from rewardgen import lazy

if TYPE_CHECKING:
    from rewardgen.prompting.conversation import generation, judging, render_prompt, repair
    from rewardgen.prompting.manner import Manner
    from rewardgen.prompting.roles import analysis, objections, review, revision
    from rewardgen.prompting.templates import ENVIRONMENT_VARIABLE, default_prompts_dir
    from rewardgen.prompting.view import TaskView, task_view, typed_view

__all__ = [
    "ENVIRONMENT_VARIABLE",
    "Manner",
    "TaskView",
    "analysis",
    "default_prompts_dir",
    "generation",
    "judging",
    "objections",
    "render_prompt",
    "repair",
    "review",
    "revision",
    "task_view",
    "typed_view",
]

lazy.exports(__name__)
