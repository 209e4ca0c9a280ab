"""Resolve a user's settings to those that a run uses, and record every change with its reason."""

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
"""Yields (dotted name of a setting, value, reason)."""


@dataclass(frozen=True)
class Resolved:
    """The settings that a run uses, and how they differ from the given ones."""

    config: Config
    changes: tuple[Change, ...]


def resolve(
    config: Config, task: Task, method: Method | None = None, arrangement: Arrangement | None = None
) -> Resolved:
    """Resolve the given settings to those that ``task`` and ``method`` run with.

    Idempotent: resolved settings resolve to themselves.

    Args:
        config: as given, merged from defaults, method, task, file and flags.
        task: what is trained.
        method: the search method; None without a search, as for baselines.
        arrangement: simulator and device; None leaves "auto" to the machine that will run it.

    Raises:
        ConfigError: the settings and the method are incompatible; the message says what to change.
    """
    changes: list[Change] = []
    # Devices and judges first: the rules below depend on who judges
    for rule in (_where(arrangement), _judge(config)):
        config = _follow(rule, config, changes)
    config = _follow(_form(config, task, method), config, changes)
    config = _follow(_without_fitness(config), config, changes)
    config = _follow(_kept_policy(config, method), config, changes)
    return Resolved(config, tuple(changes))


def _where(arrangement: Arrangement | None) -> Rule:
    """Replace "auto" by the choice made: a run resumed on another machine must use the same or fail."""
    if arrangement is not None:
        yield "sim", arrangement.sim, arrangement.why
        yield "device", str(arrangement.device), arrangement.why


def _judge(config: Config) -> Rule:
    """Expand the short names of judges that stand in for people, such as ``vlm:MODEL``."""
    judge = config.search.judge
    kind, _, model = judge.partition(":")
    if kind in ("simulated", "vlm"):
        why = f"search.judge is {judge}, which stands for people"
        yield "search.judge", "people", why
        yield "search.judging.by", kind, why
        if kind == "vlm":
            yield "search.judging.model", model, why


def _form(config: Config, task: Task, method: Method | None) -> Rule:
    """Disable screening for programs that return no reward: stored episodes cannot tell what they would pay.

    Raises:
        ConfigError: the method learns from whole episodes, and trainings are too short for an episode to end.
    """
    if method is None or method.form == "reward":
        return
    steps, worlds = config.training.steps, config.training.worlds
    # A task without terminations ends episodes only at the horizon
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
    """If only people judge, disable all that decides by the fitness: racing, second measurements of the leader, and
    screening by the fitness of stored episodes."""
    if config.search.judge == "people":
        why = "people alone judge (search.judge), so nothing may decide by the fitness"
        yield "search.racing.enabled", False, why
        yield "search.screening.keep", 1.0, why
        yield "search.screening.agreement", 0.0, why
        yield "search.remeasure", 0, why


def _kept_policy(config: Config, method: Method | None) -> Rule:
    """Choose which checkpoint represents a training. A reward for progress falls with every visit, so its peak does not
    indicate a good policy; and if only people judge, the checkpoint must not be chosen by the fitness."""
    keep = config.training.keep
    # Both may apply, in this order: "own" becomes "best", and "best" becomes "last"
    if method is not None and method.form == "progress" and keep == "own":
        keep = "best"
        yield "training.keep", keep, "the return of measures of progress falls with every visit"
    if config.search.judge == "people" and keep == "best":
        yield "training.keep", "last", "people alone judge (search.judge), so nothing may decide by the fitness"


def _follow(rule: Rule, config: Config, changes: list[Change]) -> Config:
    """Apply a rule to ``config``; append what it changes to ``changes``."""
    for name, used, why in rule:
        path = name.split(".")
        given: Any = config
        for part in path:
            given = getattr(given, part)
        # Only real changes are recorded, so that resolving again records none
        if given != used:
            changes.append(Change(name, given, used, why))
            config = _with(config, path, used)
    return config


def _with(section: Any, path: list[str], value: Any) -> Any:
    """Copy a section of settings with the setting at ``path`` replaced by ``value``."""
    assert isinstance(section, BaseModel)
    # model_copy does not validate: rules must yield valid values
    inner = value if len(path) == 1 else _with(getattr(section, path[0]), path[1:], value)
    return section.model_copy(update={path[0]: inner})
