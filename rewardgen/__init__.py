"""rewardgen searches for reward functions: a language model writes them, short trainings judge them.

Every package belongs to one step of the loop::

    task ── prompt ── language model ── reply ── program ── screen ── train ── evaluate ── reflect ── select ─┐
      ▲                                                                                                       │
      └───────────────────────────────── next generation ◄────────────────────────────────────────────────────┘

A *task* (``tasks``, ``envs/``) says what is wanted and how to measure it. Its description and its typed state fields
become a *prompt* (``prompting``). An *author* (``llm``) answers with *programs* (``program``), which are checked and
tried in a *sandbox* (``screening``) before anything is trained. Those that pass are trained with PPO, all together
(``training``), and measured by the task's own fitness (``evaluation``). Statistics of the trainings go into the next
prompt (``reflection``). ``search`` runs this loop, ``store`` keeps every step, ``report`` and ``export`` write what was
found.

    import rewardgen

    config = rewardgen.load_config(overrides={"task": "cartpole/swingup"})
    view = rewardgen.run(config, "runs/first")
    print(view.candidates[view.winner].source)

The names below are loaded when they are first used: ``import rewardgen`` itself is quick.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PLACES = {
    "Config": "rewardgen.config",
    "load_config": "rewardgen.search:configure",
    "RewardgenError": "rewardgen.errors",
    "Field": "rewardgen.records",
    "RunView": "rewardgen.store",
    "Task": "rewardgen.tasks",
    "load_task": "rewardgen.tasks",
    "read": "rewardgen.store",
    "register": "rewardgen.tasks",
    "resume": "rewardgen.search",
    "run": "rewardgen.search",
    "task_names": "rewardgen.tasks",
    "write_report": "rewardgen.report",
}

__all__ = [
    "Config",
    "Field",
    "RewardgenError",
    "RunView",
    "Task",
    "__version__",
    "load_config",
    "load_task",
    "read",
    "register",
    "resume",
    "run",
    "task_names",
    "write_report",
]

try:
    __version__ = version("rewardgen")
except PackageNotFoundError:  # a checkout that nobody installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'rewardgen' has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    return getattr(importlib.import_module(module), attribute or name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
