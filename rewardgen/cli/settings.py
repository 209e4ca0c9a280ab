"""Turns flags into settings: ``--set``, ``--judge`` and the named ones."""

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
        help="Any setting by its dotted name, such as training.learning_rate=3e-4; repeatable.",
    ),
]


def parse_assignments(assignments: Sequence[str] | None) -> dict[str, Any]:
    """Turn ``["training.steps=200000"]`` into ``{"training.steps": 200000}``; values are read as YAML.

    Raises:
        UsageError: one of them is not KEY=VALUE, or its value is not YAML.
    """
    from rewardgen import yaml

    settings: dict[str, Any] = {}
    for text in assignments or ():
        # Split at the first sign; the value may contain others
        key, sign, value = text.partition("=")
        if not sign or not all(part.strip() for part in key.split(".")):
            raise UsageError(f"--set {text}: write it as KEY=VALUE, such as --set training.steps=200000")
        try:
            settings[key.strip()] = yaml.read_value(value)
        except ConfigError as error:
            raise UsageError(f"--set {text}: {error}") from error
    return settings


def task_configs(
    tasks: Sequence[Task], assignments: Sequence[str] | None, sections: tuple[str, ...], refusal: str
) -> list[Config]:
    """Return the settings of each task for a benchmark, with the assignments that it accepts.

    Args:
        sections: the prefixes of the settings that may be set, such as ``("training.",)``.
        refusal: the error message for any other setting.

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
    """Return the settings that ``--judge`` stands for.

    Args:
        judge: the flag.
        assigned: the settings given by ``--set``: with ``search.judge=mixed``, the judge is combined with the fitness.

    Raises:
        UsageError: there is no such judge.
    """
    if judge is None:
        return {}
    kind, _, model = judge.partition(":")
    if judge not in ("fitness", "people", "simulated") and not (kind == "vlm" and model):
        raise UsageError(f"--judge {judge}: use people, simulated, vlm:MODEL or fitness")
    # A judge that replaces the fitness is one setting; one that is combined with it goes into search.judging
    if judge == "fitness" or (judge != "people" and assigned.get("search.judge") != "mixed"):
        return {"search.judge": judge}
    by = {"search.judging.by": kind} | ({"search.judging.model": model} if kind == "vlm" else {})
    return {"search.judge": "people", **by}


def with_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags that were given."""
    return {key: value for key, value in flags.items() if value is not None}
