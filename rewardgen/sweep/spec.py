"""The content of a sweep's YAML file.

    tasks: [cartpole/swingup, "hopper/*"]       names or patterns
    seeds: 3                                    0, 1 and 2; or a list of them
    settings: {training: {steps: 200_000}}      shared by all; every setting of `rewardgen run`
    arms:                                       what is compared, by name
      eureka: {search.method: eureka}
      eureka without racing: {search.method: eureka, search.racing: false}
    grid: {training.learning_rate: [1e-3, 3e-4]}    every arm with every combination
    points: [{search.seeds: 1}, {search.seeds: 2}]  every arm with each of these
    budgets: {total: {hours: 10}, arms: {"*": {dollars: 5}}}
    retries: 1
    share: {threads: 2, memory_gb: 4, gpus: 0.5}

Settings are written nested or by dotted names. docs/sweeps.md describes the rest.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from rewardgen import yaml
from rewardgen.config import BudgetConfig, Section, explained

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Budgets(Section):
    """Limits on what searches may use together. Hours are the sum over searches."""

    total: BudgetConfig = Field(BudgetConfig(), description="of the whole sweep")
    arms: dict[str, BudgetConfig] = Field({}, description="of each arm whose name matches the pattern")


class Share(Section):
    """The resources of one search."""

    threads: int = Field(0, ge=0, description="CPU threads; 0: divided evenly among the searches that run at once")
    memory_gb: float = Field(2.0, gt=0, description="free memory that a search needs to start, in GB")
    gpus: float = Field(1.0, ge=0, description="share of a GPU, if a search uses one; 0.5: two searches share a GPU")


class SweepSpec(Section):
    """The whole file."""

    name: str = Field("", description="name of the sweep's folder; default: that of the file")
    tasks: tuple[str, ...] = Field(..., min_length=1, description="names, or patterns such as hopper/*")
    seeds: tuple[int, ...] = Field((0,), min_length=1, description="seeds of the searches: a list, or their number")
    settings: dict[str, Any] = Field({}, description="shared by all arms")
    arms: dict[str, dict[str, Any]] = Field({}, description="name → the settings that distinguish it")
    grid: dict[str, Any] = Field({}, description="setting → its values; all combinations are run")
    points: tuple[dict[str, Any], ...] = Field((), description="combinations of settings, each run as it is")
    envs: tuple[Path, ...] = Field((), description="further folders of task files, relative to this file")
    budgets: Budgets = Budgets()
    retries: int = Field(1, ge=0, le=100, description="max. retries of a search that failed")
    share: Share = Share()

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if value and (not _NAME.fullmatch(value) or value == "latest"):
            raise ValueError("use letters, digits, '_', '-' and '.', and begin with a letter or digit")
        return value

    @field_validator("tasks", mode="before")
    @classmethod
    def _one_task(cls, value: Any) -> Any:
        # One task needs no list
        return [value] if isinstance(value, str) else value

    @field_validator("seeds", mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        # A number means so many seeds
        return list(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("seeds")
    @classmethod
    def _different(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if min(value) < 0 or len(set(value)) < len(value):
            raise ValueError("give different seeds, none below 0")
        return value

    @field_validator("settings", "arms", "grid", "points", "envs", "budgets", "share", mode="before")
    @classmethod
    def _empty(cls, value: Any, field: ValidationInfo) -> Any:
        """Treat an empty key, as when every line below it is commented out, as if it were missing."""
        return cls.model_fields[str(field.field_name)].default if value is None else value

    @field_validator("arms", mode="before")
    @classmethod
    def _bare_arms(cls, value: Any) -> Any:
        """Let an arm without settings have the shared ones."""
        return {str(k): {} if v is None else v for k, v in value.items()} if isinstance(value, dict) else value


def read_spec(path: Path) -> tuple[SweepSpec, yaml.Document]:
    """Read the sweep in the file at ``path``; ``plan`` checks its settings.

    Raises:
        ConfigError: a key or value is wrong; the message names file, line and key, and similar keys.
    """
    source = yaml.read(path, "a sweep is a mapping with `tasks:` and other keys; docs/sweeps.md shows one")
    try:
        return SweepSpec.model_validate(source.values), source
    except ValidationError as error:
        # Report each problem with its line
        located = zip(error.errors(), explained(SweepSpec, error), strict=True)
        raise source.error(
            [yaml.YamlProblem(source.line(detail["loc"]), text) for detail, (_, text) in located]
        ) from error
