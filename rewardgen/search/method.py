"""Define search methods: each is a set of settings of the one search loop, in a short YAML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from rewardgen import config, yaml
from rewardgen.config import Config, Section, validate
from rewardgen.errors import ConfigError, UnknownName
from rewardgen.prompting import Manner
from rewardgen.records import Form

SETTABLE = ("search", "training", "credit", "evaluation")
"""Sections of a run's settings for which a method may set defaults; never the model's endpoint or key."""


Part = Literal[
    "fitness", "components", "return", "endings", "exploration", "others", "behaviour", "episodes", "words", "changes"
]
# The parts from training curves; the others come from episodes, people and earlier code
REFLECTED: tuple[Part, ...] = ("fitness", "components", "return", "endings", "exploration", "others")


class Critic(Section):
    """A language model that reviews programs before anything is trained with them."""

    rounds: int = Field(1, ge=1, le=8, description="times its objections to a program go back to the author at most")


class Analyser(Section):
    """A language model that reads the episodes of a generation's best policy, for the next prompt."""

    episodes: int = Field(4, ge=2, le=16, description="episodes that it is shown: the best and the worst of so many")


class Roles(Section):
    """Who works on a reward besides its author."""

    critic: Critic | None = None
    analyser: Analyser | None = None


class Islands(Section):
    """Several populations that evolve beside each other, each program by mutation or crossover of its island's."""

    count: int = Field(ge=1, le=64, description="islands, filled in turn by the first generation")
    size: int = Field(ge=1, le=256, description="programs on an island at most; the worst goes first")
    crossover: float = Field(0.5, ge=0, le=1, description="share of programs made from two parents where there are two")
    migration: float = Field(
        0.0, ge=0, le=1, description="chance after a generation that the weaker half of the islands starts again"
    )
    temperature: float = Field(
        1.0, gt=0, description="of the softmax over scores that islands and parents are drawn by"
    )


class Method(Section):
    """How the loop turns one generation into the next one's prompt."""

    name: str
    summary: str
    settings: dict[str, Any] = Field(
        default_factory=dict, description="defaults that the method brings; a task's, a file's and flags go before them"
    )
    form: Form = Field(
        "reward", description="what a program returns: a reward, measures of progress, or factors for a learned decoder"
    )
    parent: Literal["generation", "run"] = Field(
        "generation", description="carry forward the best of the last generation, or the best of the run so far"
    )
    history: int = Field(1, ge=0, le=16, description="former bests that a prompt carries, each with its feedback")
    show: Literal["best", "best and worst"] = Field(
        "best", description="which candidates of a generation the next prompt shows"
    )
    feedback: tuple[Part, ...] = Field(REFLECTED, description="what a prompt tells of a candidate that it shows")
    ask: Literal["improve", "refine", "prefer"] = Field(
        "improve", description="what a prompt with history asks for: the template prompts/ask_NAME.j2"
    )
    fill: int = Field(
        0, ge=0, le=16, description="fresh programs asked for in place of one that its repairs could not save"
    )
    roles: Roles = Roles()
    islands: Islands | None = Field(None, description="none: each generation follows from one parent")

    @property
    def manner(self) -> Manner:
        """What its prompts contain and ask for."""
        return Manner(
            ask=self.ask,
            history=self.history,
            words="words" in self.feedback,
            changes="changes" in self.feedback,
            form=self.form,
        )

    @field_validator("settings")
    @classmethod
    def _usable(cls, value: dict[str, Any]) -> dict[str, Any]:
        for section in value:
            if section not in SETTABLE:
                raise ValueError(f"a method may bring settings of {', '.join(SETTABLE)}, not of {section!r}")
        # Circular: the method is loaded before its settings are read
        if "method" in (value.get("search") or {}):
            raise ValueError("a method cannot choose the method")
        return value


def method_names() -> list[str]:
    """List the methods that come with rewardgen."""
    folder = files("rewardgen.search") / "methods"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def method_file(name: str) -> Path:
    """Return the file of the method ``name``, or ``name`` itself if it is the path of a YAML file.

    Raises:
        UnknownName: there is no such method; the message suggests the nearest name.
    """
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    if name in method_names():
        return Path(str(files("rewardgen.search") / "methods" / f"{name}.yaml"))
    raise UnknownName("search method", name, method_names(), hint="(or give the path of a YAML file)")


def load_method(name: str) -> Method:
    """Load the method ``name``, or the one in the YAML file at that path.

    Raises:
        UnknownName: there is no such method; the message suggests the nearest name.
        ConfigError: the file is not a valid method.
    """
    path = method_file(name)
    document = yaml.read(path)
    # Check the settings now, with any task, so that errors name a line of the method's file
    method = validate(Method, document.values, document.where)
    config.load(
        None,
        {"task": "any"},
        method_defaults=method.settings,
        where=lambda place: f"{document.where(('settings', *place))}: settings",
    )
    return method


def configure(
    path: Path | None = None, overrides: Mapping[str, Any] | None = None, envs: Sequence[Path] = ()
) -> Config:
    """Build a run's settings from defaults, the search method, the task, a YAML file and overrides, in this order.

    Args:
        path: a YAML file, or None.
        overrides: dotted key → value, such as ``{"training.steps": 200_000}``.
        envs: further folders of task files.

    Raises:
        ConfigError: a key or value is wrong, or no task is named.
        UnknownName: there is no such task or method.
    """
    # Imported here, because it loads MuJoCo
    from rewardgen.tasks import load_task

    wanted = config.given(path, overrides)
    task, search = wanted.get("task"), wanted.get("search")
    if not isinstance(task, str):
        raise ConfigError("name a task, such as `rewardgen run cartpole/swingup`; `rewardgen tasks` lists them")
    # Only task and method are read so far: both bring defaults for the rest
    name = search.get("method") if isinstance(search, Mapping) else None
    method = load_method(name if isinstance(name, str) else config.SearchConfig().method)
    # Precedence, lowest first: method, task, file, overrides
    return config.load(
        path, overrides, method_defaults=method.settings, task_defaults=dict(load_task(task, envs).training)
    )
