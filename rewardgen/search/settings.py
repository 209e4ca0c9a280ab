"""From the settings as a person gave them to those that a run takes: one ``resolve``, which tells what it changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import BaseModel

from rewardgen.config import Config
from rewardgen.errors import ConfigError
from rewardgen.records import State
from rewardgen.search.method import Method
from rewardgen.sim import Arrangement
from rewardgen.store import Change
from rewardgen.tasks import Task

Rule = Iterator[tuple[str, Any, str]]
"""Settings by their dotted names, with the values that they take and why."""


@dataclass(frozen=True)
class Resolved:
    """The settings that a run takes, and how they differ from those that were given."""

    config: Config
    changes: tuple[Change, ...]


def resolve(
    config: Config, task: Task, method: Method | None = None, arrangement: Arrangement | None = None
) -> Resolved:
    """Make of the settings that were given those that ``task`` and ``method`` run with.

    Resolved settings resolve to themselves.

    Args:
        config: as given: defaults, the method's, the task's, a file's and flags.
        task: what is trained.
        method: the search method; None where there is no search, as for baselines.
        arrangement: where it takes place; None leaves "auto" to the machine that will do it.

    Raises:
        ConfigError: the settings and the method do not go together; the message says what to change.
    """
    changes: list[Change] = []
    for rule in (_where(arrangement), _judge(config)):
        config = _follow(rule, config, changes)
    config = _follow(_form(config, task, method), config, changes)
    config = _follow(_without_fitness(config), config, changes)
    config = _follow(_kept_policy(config, method), config, changes)
    return Resolved(config, tuple(changes))


def _where(arrangement: Arrangement | None) -> Rule:
    """What "auto" came to: a run that is resumed on another machine goes on as it began, or not at all."""
    if arrangement is not None:
        yield "sim", arrangement.sim, arrangement.why
        yield "device", str(arrangement.device), arrangement.why


def _judge(config: Config) -> Rule:
    """Judges with a name of their own stand for people."""
    judge = config.search.judge
    kind, _, model = judge.partition(":")
    if kind in ("simulated", "vlm"):
        why = f"search.judge is {judge}, which stands for people"
        yield "search.judge", "people", why
        yield "search.judging.by", kind, why
        if kind == "vlm":
            yield "search.judging.model", model, why


def _form(config: Config, task: Task, method: Method | None) -> Rule:
    """Stored episodes cannot say what would be paid for programs that return no reward.

    Raises:
        ConfigError: factors, and trainings so short that no episode of theirs ends: nothing could be learned from them.
    """
    if method is None or method.form == "reward":
        return
    steps, worlds = config.training.steps, config.training.worlds
    never = not task.terminations(State(task.layout, torch.zeros(1, task.layout.width)))
    if method.form == "factors" and never and steps < worlds * task.horizon:
        raise ConfigError(
            f"training.steps: with {worlds} worlds no episode of {task.name} ends before step "
            f"{worlds * task.horizon:,}, and the method {method.name} learns from whole episodes; "
            f"take more than these {steps:,} steps, or fewer training.worlds"
        )
    why = f"programs of the method {method.name} return {method.form} instead of a reward"
    yield "search.screening.enabled", False, why


def _without_fitness(config: Config) -> Rule:
    """Nothing in a run that people alone judge decides by the fitness: nobody is stopped for falling behind or trained
    again for leading, and no program is left out because stored episodes speak against it."""
    if config.search.judge == "people":
        why = "people alone judge (search.judge), so nothing may decide by the fitness"
        yield "search.racing.enabled", False, why
        yield "search.screening.keep", 1.0, why
        yield "search.screening.agreement", 0.0, why
        yield "search.remeasure", 0, why


def _kept_policy(config: Config, method: Method | None) -> Rule:
    """Which checkpoint a training stands for. What is paid for progress falls with every visit, so its peak is no sign
    of a good policy; and where people alone judge, the fittest checkpoint would be chosen by the fitness."""
    keep = config.training.keep
    if method is not None and method.form == "progress" and keep == "own":
        keep = "best"
        yield "training.keep", keep, "the return of measures of progress falls with every visit"
    if config.search.judge == "people" and keep == "best":
        yield "training.keep", "last", "people alone judge (search.judge), so nothing may decide by the fitness"


def _follow(rule: Rule, config: Config, changes: list[Change]) -> Config:
    """``config`` with what a rule demands; what that changes is added to ``changes``."""
    for name, used, why in rule:
        path = name.split(".")
        given: Any = config
        for part in path:
            given = getattr(given, part)
        if given != used:
            changes.append(Change(name, given, used, why))
            config = _with(config, path, used)
    return config


def _with(section: Any, path: list[str], value: Any) -> Any:
    """A copy of a section of settings in which the one at ``path`` is ``value``."""
    assert isinstance(section, BaseModel)
    inner = value if len(path) == 1 else _with(getattr(section, path[0]), path[1:], value)
    return section.model_copy(update={path[0]: inner})
