"""Build tasks on third-party Gymnasium environments from YAML declarations: see docs/environments.md.

The file names the state fields as slices of the observation or keys of ``info``, and the source of success. The
environment runs in worker processes, in another Python if the file asks for one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Setting
from torch import Tensor

from rewardgen import yaml
from rewardgen.config import Where
from rewardgen.config import validate as validate_settings
from rewardgen.errors import ConfigError, MissingPackage, SimulationFailed, TaskError
from rewardgen.records import Episodes, Field, State
from rewardgen.sim import EnvironmentSpec, GymnasiumSim, Simulator, Source
from rewardgen.tasks.base import RewardAndTerms, Task
from rewardgen.tasks.interpreter import Requirements, interpreter
from rewardgen.tasks.random import WorldRandom

OBSERVATION, REWARD, ENDED, CUT, SUCCESS, MEASURE = (
    "environment_observation",
    "environment_reward",
    "environment_terminated",
    "environment_truncated",
    "environment_success",
    "environment_measure",
)
_SOURCE = re.compile(r"(observation|info|reward)((?:\.\w+)*)(?:\[(\d+)(?::(\d+))?\])?")
_SEEDS = 2**31
_FORM = (
    "a source is observation, observation[3], observation[0:3], observation.KEY[0:3], info.KEY or info.KEY[0:3]; "
    "success and fitness may also be reward"
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Environment(_Section):
    id: str
    arguments: dict[str, Any] = {}
    imports: tuple[str, ...] = ()
    python: str | Requirements | None = None
    step_seconds: float = Setting(60.0, gt=0)
    action_range: tuple[float, float] | None = None
    action_names: tuple[str, ...] = ()


class _Quantity(_Section):
    name: str
    source: str = Setting(alias="from")
    shape: tuple[int, ...] | None = None
    unit: str
    meaning: str


class _Success(_Section):
    source: str = Setting(alias="from")
    at_least: float = 1.0


class _Fitness(_Section):
    source: str = Setting(alias="from")
    over: Literal["last", "max", "mean", "sum"] = "last"
    unit: str
    meaning: str
    range: tuple[float, float] = (-math.inf, math.inf)
    threshold: float


class _Declaration(_Section):
    """One task of a file."""

    task: str
    group: str = "own"
    description: str
    environment: _Environment
    fields: tuple[_Quantity, ...]
    success: _Success
    fitness: _Fitness
    horizon: int
    control_step: float | None = None
    expert_source: str = "the environment's own reward"
    training: dict[str, Any] = {}


def read_tasks(path: Path) -> list[tuple[str, type[Task]]]:
    """Read the tasks that a YAML file declares; return name and class of each.

    A file declares one task, or several under ``tasks`` that share the other top-level keys.

    Raises:
        TaskError: the file is not a valid declaration; the message names line and key.
    """
    try:
        document = yaml.read(path, "a task file is a mapping; docs/environments.md has a complete example")
    except ConfigError as error:
        raise TaskError(str(error)) from error
    shared = {key: value for key, value in document.values.items() if key != "tasks"}
    several = document.values.get("tasks", [{}])
    if not isinstance(several, list) or not all(isinstance(each, dict) for each in several):
        raise TaskError(f"{document.where(('tasks',))}: tasks must be a list of mappings")
    return [_declared(_merged(shared, each), path, _where(document, number)) for number, each in enumerate(several)]


def _where(document: yaml.Document, number: int) -> Where:
    """Locate keys of the ``number``-th task of a file: its own, else those that all tasks of the file share."""

    def locate(place: yaml.Place) -> str:
        own = ("tasks", number, *place)
        # The most specific key that is written in the file, the task's own before the shared one
        for length in range(len(place), 0, -1):
            for written in (own[: length + 2], place[:length]):
                if written in document.lines:
                    return document.where(written)
        return document.where(own)

    return locate


def _merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Merge ``own`` settings over ``shared`` ones, recursively for mappings."""
    values = dict(shared)
    for key, value in own.items():
        both = isinstance(value, Mapping) and isinstance(values.get(key), Mapping)
        values[key] = _merged(values[key], value) if both else value
    return values


def _declared(values: Mapping[str, Any], path: Path, where: Where) -> tuple[str, type[Task]]:
    """Make the task that ``values`` declare; return its name and class.

    Raises:
        TaskError: a key or value is wrong.
    """

    def named(place: yaml.Place) -> str:
        return f"{where(place)}: task {values.get('task', '?')}"

    try:
        declaration = validate_settings(_Declaration, values, named)
    except ConfigError as error:
        raise TaskError(str(error)) from error
    # Fields that programs may read, and where each value comes from
    places = [named(("fields", number, "from")) for number in range(len(declaration.fields))]
    shown = tuple(_field(*each) for each in zip(declaration.fields, places, strict=True))
    sources = tuple(
        _source(quantity.source, field.size, place)
        for quantity, field, place in zip(declaration.fields, shown, places, strict=True)
    )
    for source, place in zip(sources, places, strict=True):
        if source.path[0] == "reward":
            raise TaskError(f"{place}: no reward program may read the environment's own reward; {_FORM}")
    # Success and fitness are one number each; they may be the environment's own reward
    for part in ("success", "fitness"):
        sources += (_source(getattr(declaration, part).source, 1, named((part, "from"))),)
    # A class per task, as for tasks in Python, so that the rest treats both alike
    made = type(
        "".join(part.capitalize() for part in re.split(r"\W|_", declaration.task)),
        (EnvironmentTask,),
        {
            "group": declaration.group,
            "description": declaration.description,
            "fields": shown,
            "frame_skip": 1,
            "horizon": declaration.horizon,
            "fitness_unit": declaration.fitness.unit,
            "fitness_meaning": declaration.fitness.meaning,
            "fitness_range": declaration.fitness.range,
            "success_threshold": declaration.fitness.threshold,
            "expert_source": declaration.expert_source,
            "training": declaration.training,
            "declaration": declaration,
            "sources": sources,
            "file": path,
            "__module__": __name__,
        },
    )
    return declaration.task, made


def _field(quantity: _Quantity, where: str) -> Field:
    shape = quantity.shape
    if shape is None:
        _, start, stop = _parsed(quantity.source, where)
        size = stop - start if stop is not None else 1
        # Without a declared shape, the width of the slice decides
        shape = (size,) if size > 1 else ()
    return Field(quantity.name, shape, quantity.unit, quantity.meaning)


def _source(text: str, size: int, where: str) -> Source:
    """Parse ``text`` as a source of ``size`` numbers.

    Raises:
        TaskError: the text is not a source, or has another number of values.
    """
    path, start, stop = _parsed(text, where)
    stop = start + size if stop is None else stop
    if stop - start != size:
        raise TaskError(f"{where}: {text!r} gives {stop - start} numbers, and {size} are declared")
    return Source(path, start, stop)


def _parsed(text: str, where: str) -> tuple[tuple[str, ...], int, int | None]:
    """Parse a source into its path, start and stop; stop is None if the text has no slice.

    Raises:
        TaskError: the text is not a source.
    """
    match = _SOURCE.fullmatch(text)
    if not match:
        raise TaskError(f"{where}: {text!r} is no source; {_FORM}")
    path = (match[1], *match[2].split(".")[1:])
    if match[3] is None:
        return path, 0, None
    return path, int(match[3]), int(match[4] or int(match[3]) + 1)


class EnvironmentTask(Task):
    """A task whose worlds are Gymnasium environments. Each task of a YAML file is a subclass of its own."""

    declaration: _Declaration
    sources: tuple[Source, ...]
    file: Path

    @classmethod
    def missing(cls) -> MissingPackage | None:
        python = cls.declaration.environment.python
        try:
            interpreter(python, cls.file, cls.name)
        except MissingPackage as missing:
            return missing
        except TaskError:  # a missing interpreter is reported when the task is loaded
            return None
        return None

    def __init__(self) -> None:
        try:
            about = self.about
        except SimulationFailed as error:
            raise TaskError(f"{self.file}: the environment of {self.name} cannot be made: {error}") from error
        names = self.declaration.environment.action_names
        if names and len(names) != len(about["low"]):
            raise TaskError(
                f"{self.file}: {self.name} has {len(about['low'])} action columns, and environment.action_names names "
                f"{len(names)}; name each component, or each option of a discrete action, in order"
            )
        # A time limit inside of the environment would end episodes that ours counts as running
        if about["horizon"] is not None and about["horizon"] < self.horizon:
            raise TaskError(
                f"{self.file}: {self.model.id} cuts its episodes after {about['horizon']} steps; set horizon to that"
            )
        self.fields = (  # type: ignore[misc]  # the width of an observation is known only once there is one
            *type(self).fields,
            Field(OBSERVATION, (about["observation_size"],), "1", "the environment's observation", hidden=True),
            Field(SUCCESS, (), "1", "where success comes from", hidden=True),
            Field(MEASURE, (), self.fitness_unit, "where the fitness comes from", hidden=True),
            Field(REWARD, (), "1", "the environment's reward", hidden=True),
            Field(ENDED, (), "1", "1 where the environment ended the episode", hidden=True),
            Field(CUT, (), "1", "1 where the environment cut the episode off", hidden=True),
        )

    def make_model(self) -> EnvironmentSpec:
        environment = self.declaration.environment
        return EnvironmentSpec(
            environment.id,
            environment.arguments,
            environment.imports,
            interpreter(environment.python, self.file, self.name),
            str(self.file.parent.resolve()),
            self.sources,
            environment.step_seconds,
        )

    @cached_property
    def about(self) -> dict[str, Any]:
        """Start one environment and return its properties: sizes, action range, horizon, control step."""
        sim = GymnasiumSim(self.model, 1)
        try:
            return sim.about
        finally:
            sim.close()

    @property
    def control_step(self) -> float:
        return float(self.declaration.control_step or self.about["control_step"] or 1.0)

    @cached_property
    def action_low(self) -> Tensor:
        return self._bounded("low", 0)

    @cached_property
    def action_high(self) -> Tensor:
        return self._bounded("high", 1)

    def _bounded(self, end: str, index: int) -> Tensor:
        """Return one end of the action range, ``(A,)``: the space's, or ``environment.action_range`` if infinite."""
        own = torch.tensor(self.about[end], dtype=torch.float32)
        stated = self.declaration.environment.action_range
        return own if stated is None else torch.where(own.isfinite(), own, stated[index])

    @property
    def action_choices(self) -> tuple[int, ...]:
        return tuple(self.about["choices"])

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        if self.declaration.environment.action_names:
            return self.declaration.environment.action_names
        several = len(self.action_choices) > 1
        # One column per option of a discrete action
        if self.action_choices:
            return tuple(
                f"component {component} option {option}" if several else f"option {option}"
                for component, count in enumerate(self.action_choices)
                for option in range(count)
            )
        return tuple(f"column {index}" for index in range(self.action_size))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        assert isinstance(sim, GymnasiumSim)
        # The environment draws its own start state from a seed that we draw
        sim.begin(ids, generator.uniform(0, _SEEDS, 1)[:, 0].to(torch.int64))

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        # The columns follow the order of ``sources``: declared fields, then success, then fitness
        quantities, values, column = sim.field("quantities"), {}, 0
        for field in (*type(self).fields, *(self.layout.by_name[name] for name in (SUCCESS, MEASURE))):
            part = quantities[:, column : column + field.size]
            values[field.name] = part.reshape(-1, *field.shape)
            column += field.size
        return {
            **values,
            OBSERVATION: sim.field("observation").reshape(-1, *self.layout.by_name[OBSERVATION].shape),
            REWARD: sim.field("reward"),
            ENDED: sim.field("terminated"),
            CUT: sim.field("truncated"),
        }

    def observation(self, state: State) -> Tensor:
        return getattr(state, OBSERVATION)

    def terminations(self, state: State) -> dict[str, Tensor]:
        return {"the environment ended it": getattr(state, ENDED) > 0}

    def fitness(self, episode: Episodes) -> Tensor:
        # States 1 to T: what the environment returned for each step; state 0 is the reset
        values, over = episode.field(MEASURE)[1:], self.declaration.fitness.over
        if over == "last":
            return episode.last(MEASURE)
        if over == "max":
            return values.masked_fill(~episode.mask, -math.inf).amax(0)
        # Steps after the end of an episode do not count
        total = (values * episode.mask).sum(0)
        return total / episode.length if over == "mean" else total

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        reward = getattr(next_state, REWARD)
        return reward, {"environment": reward}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        success = (getattr(next_state, SUCCESS) >= self.declaration.success.at_least).to(action.dtype)
        return success, {"success": success}
