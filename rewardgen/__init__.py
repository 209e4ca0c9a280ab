"""rewardgen searches for reward functions: a language model writes them, short trainings judge them.

The way through, which every room of this package is a part of::

    task ── prompt ── language model ── reply ── program ── screen ── train ── evaluate ── reflect ── select ─┐
      ▲                                                                                                       │
      └───────────────────────────────── next generation ◄────────────────────────────────────────────────────┘

A *task* (``tasks``, ``envs/``) says what is wanted and how to measure it. Its description and its typed state fields
become a *prompt* (``prompting``); an *author* (``llm``) answers with *programs* (``program``), which are tried out in a
*sandbox* before anything is spent on them. Those that hold up are trained with PPO, all together (``training``), and
judged by the task's own fitness (``evaluation``). What happened goes into the next prompt (``reflection``). ``search``
turns the crank, ``store`` keeps everything, ``report`` and ``export`` hand it over.

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
