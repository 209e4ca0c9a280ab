"""Flags → settings: the named ones and ``--set``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rewardgen.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from rewardgen.config import Config
    from rewardgen.tasks import Task

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting by its dotted name, such as training.learning_rate=3e-4; may be repeated.",
    ),
]


def parse_assignments(assignments: Sequence[str] | None) -> dict[str, Any]:
    """``["training.steps=200000"]`` → ``{"training.steps": 200000}``; values are read as YAML.

    Raises:
        UsageError: one of them is no KEY=VALUE, or its value is no YAML.
    """
    from rewardgen import yaml

    found: dict[str, Any] = {}
    for text in assignments or ():
        key, sign, value = text.partition("=")
        if not sign or not all(part.strip() for part in key.split(".")):
            raise UsageError(f"--set {text}: write it as KEY=VALUE, such as --set training.steps=200000")
        try:
            found[key.strip()] = yaml.read_value(value)
        except ConfigError as error:
            raise UsageError(f"--set {text}: {error}") from error
    return found


def task_configs(
    tasks: Sequence[Task], assignments: Sequence[str] | None, sections: tuple[str, ...], refusal: str
) -> list[Config]:
    """The settings of each task, with those assignments that a benchmark takes.

    Args:
        sections: what may be set, such as ``("training.",)``.
        refusal: what to say of anything else.

    Raises:
        UsageError: an assignment cannot be read, or sets something outside of ``sections``.
        ConfigError: a key or value is wrong.
    """
    from rewardgen import config

    given = parse_assignments(assignments)
    if others := [key for key in given if not key.startswith(sections)]:
        raise UsageError(f"--set {others[0]}: {refusal}")
    return [config.load(overrides={"task": each.name} | given, task_defaults=each.training) for each in tasks]


def judge_settings(judge: str | None, assigned: Mapping[str, Any]) -> dict[str, Any]:
    """What ``--judge`` stands for.

    Args:
        judge: the flag.
        assigned: what ``--set`` says: with ``search.judge=mixed``, the flag's judge is weighed with the fitness.

    Raises:
        UsageError: it names no judge.
    """
    if judge is None:
        return {}
    kind, _, model = judge.partition(":")
    if judge not in ("fitness", "people", "simulated") and not (kind == "vlm" and model):
        raise UsageError(f"--judge {judge}: it is people, simulated, vlm:MODEL or fitness")
    if judge == "fitness" or (judge != "people" and assigned.get("search.judge") != "mixed"):
        return {"search.judge": judge}
    by = {"search.judging.by": kind} | ({"search.judging.model": model} if kind == "vlm" else {})
    return {"search.judge": "people", **by}


def with_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Those flags that were given."""
    return {key: value for key, value in flags.items() if value is not None}
