"""Check a task: its declarations alone, then its methods in a few worlds over a few steps."""

from __future__ import annotations

import inspect
import itertools
import keyword
import logging
import math
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import mujoco
import torch
from torch import Tensor

from rewardgen.config import TrainingConfig
from rewardgen.config import validate as validate_settings
from rewardgen.errors import ConfigError, RewardgenError, SimulationFailed, TaskError
from rewardgen.records import Episodes, Field, State
from rewardgen.sim import EnvironmentSpec, GymnasiumSim, make_simulator
from rewardgen.tasks.base import Task
from rewardgen.tasks.registry import Entry
from rewardgen.tasks.worlds import Worlds

T = TypeVar("T")
_FEWEST_WORLDS = 5
_STEPS = 2
_logger = logging.getLogger("rewardgen.tasks")
_TEXTS = ("description", "fitness_unit", "fitness_meaning", "expert_source")
_COUNTS = ("frame_skip", "horizon")
_GROUP = re.compile(r"[a-z][a-z0-9_]*")


def check_declaration(entry: Entry) -> None:
    """Check what the class of a task declares, without instantiating it.

    Raises:
        TaskError: a declaration is missing, of the wrong type or out of range; the message lists all of them.
    """
    problems = list(_wrong_declarations(entry.task))
    if problems:
        raise TaskError(f"{entry.where}: the task {entry.name!r} is declared wrongly: " + "; ".join(problems))


def validate(task: Task, where: str = "") -> None:
    """Run ``task`` in a few worlds for a few steps and check that its methods return what it declares.

    Raises:
        TaskError: a method raises, or returns a wrong name, shape or dtype, or a value that is not finite.
    """
    where = where or _place(type(task))
    with _blamed(task, where, "make_model"):
        model = task.model
    if not isinstance(model, mujoco.MjModel | EnvironmentSpec):
        raise TaskError(f"{where}: make_model() must give an mujoco.MjModel, not {_kind(model)}")
    # Unless the task overrides advance, actions are the actuators' commands: they need a finite range
    if isinstance(model, mujoco.MjModel) and type(task).advance is Task.advance:
        if model.nu == 0:
            raise TaskError(
                f"{where}: the model of {task.name!r} has no actuators; there is nothing for a policy to do"
            )
        if not bool(model.actuator_ctrllimited.all()):
            raise TaskError(
                f"{where}: each actuator of {task.name!r} needs a ctrlrange, which becomes the action's range"
            )
    _check_actions(task, where)
    _Trial(task, where).run()


def _check_actions(task: Task, where: str) -> None:
    """Check the range of the actions: the actuators' own, the environment's, or the one that the task declares."""
    with _blamed(task, where, "action_low"):
        low, high, names = task.action_low, task.action_high, task.action_names
    if low.dim() != 1 or not len(low) or low.shape != high.shape or low.dtype != torch.float32:
        raise TaskError(f"{where}: action_low and action_high of {task.name!r} must be two float32 vectors of one size")
    if not bool((low.isfinite() & high.isfinite() & (low < high)).all()):
        wrong = int((~(low.isfinite() & high.isfinite() & (low < high))).nonzero()[0])
        name = names[wrong] if len(names) == len(low) else f"column {wrong}"
        # Where the range came from decides what to correct
        remedy = "ctrlrange, or action_low and action_high"
        if isinstance(task.model, EnvironmentSpec):
            remedy = "action space, or state the range that policies use as environment.action_range: [low, high]"
        raise TaskError(
            f"{where}: in {task.name!r}, the range of {name}, {low[wrong]:g} to {high[wrong]:g}, must have two finite "
            f"ends, the lower one first; correct the {remedy}"
        )
    if len(names) != len(low):
        raise TaskError(f"{where}: {task.name!r} names {len(names)} components of an action that has {len(low)}")


class _Trial:
    """Run a few worlds of a task and check what its methods return."""

    def __init__(self, task: Task, where: str) -> None:
        self.task, self.where = task, where
        self.count = _world_count(task)

    def run(self) -> None:
        task = self.task
        with _blamed(task, self.where, "make_model"):
            sim = make_simulator(task.model, self.count, threads=1)
        # Methods on the start states
        worlds = Worlds(task, sim, torch.arange(self.count))
        values = self.ask("state", lambda: task.state(sim))
        self.check_state(values)
        with _blamed(task, self.where, "reset"):
            matrix = worlds.start()
        observation = self.ask("observation", lambda: task.observation(State(task.layout, matrix)))
        self.check_tensor("observation()", observation, None, torch.float32)
        if observation.dim() != 2 or len(observation) != self.count:
            raise self.wrong(f"observation() must have shape (n, size), not {_shape(observation)} for n = {self.count}")

        # A few control steps under the middle action
        middle = 0.5 * (task.action_low + task.action_high)
        action = middle.expand(self.count, task.action_size)
        matrices = [matrix]
        for _ in range(_STEPS):
            with _blamed(task, self.where, "advance"):
                matrices.append(worlds.step(action).next_matrix)
        # Terminations, rewards and fitness of the last step
        before, after = (State(task.layout, matrix) for matrix in matrices[-2:])
        causes = self.ask("terminations", lambda: task.terminations(after))
        for cause, held in self.mapping("terminations()", causes).items():
            self.check_tensor(f"terminations()[{cause!r}]", held, (self.count,), torch.bool)
        for name in ("expert_reward", "sparse_reward"):
            self.check_reward(name, self.ask(name, partial(getattr(task, name), before, action, after)))
        self.check_fitness(torch.stack(matrices), action)
        # A misspelt key of info reads as 0 in every step: warn
        if isinstance(sim, GymnasiumSim):
            for path in dict.fromkeys(".".join(source.path) for source in sim.absent()):
                _logger.warning(
                    "%s: in the task %r, no step of the trial had %s, which therefore reads as 0; check its name, "
                    "unless the environment gives it later in an episode",
                    self.where,
                    task.name,
                    path,
                )

    def check_state(self, values: Any) -> None:
        declared = self.task.layout.by_name
        given = self.mapping("state()", values)
        missing, extra = declared.keys() - given.keys(), given.keys() - declared.keys()
        if missing:
            raise self.wrong(f"state() gives no {_listed(missing)}, which fields declares")
        if extra:
            raise self.wrong(f"state() gives {_listed(extra)}, which fields does not declare")
        for name, field in declared.items():
            self.check_tensor(f"state()[{name!r}]", given[name], (self.count, *field.shape), None)

    def check_reward(self, name: str, given: Any) -> None:
        if not (isinstance(given, tuple) and len(given) == 2):
            raise self.wrong(f"{name}() must give a pair of total and terms, not {_kind(given)}")
        self.check_tensor(f"the total of {name}()", given[0], (self.count,), None)
        for term, value in self.mapping(f"the terms of {name}()", given[1]).items():
            self.check_tensor(f"the term {term!r} of {name}()", value, (self.count,), None)

    def check_fitness(self, states: Tensor, action: Tensor) -> None:
        """On an episode of full length, padded as those of a fall are."""
        task, horizon = self.task, self.task.horizon
        padded = torch.cat([states, states[-1:].expand(max(0, horizon - _STEPS), -1, -1)])[: horizon + 1]
        episode = Episodes(
            layout=task.layout,
            states=padded,
            actions=action.expand(horizon, -1, -1),
            length=torch.full((self.count,), min(_STEPS, horizon)),
            terminated=torch.ones(self.count, dtype=torch.bool),
            control_step=task.control_step,
        )
        self.check_tensor("fitness()", self.ask("fitness", lambda: task.fitness(episode)), (self.count,), None)

    def check_tensor(self, what: str, value: Any, shape: tuple[int, ...] | None, dtype: torch.dtype | None) -> None:
        """``dtype`` None: any float."""
        if not isinstance(value, Tensor):
            raise self.wrong(f"{what} must be a torch tensor, not {_kind(value)}")
        if shape is not None and value.shape != shape:
            raise self.wrong(
                f"{what} must have shape {_symbolic(shape)}, not {_shape(value)} for n = {self.count} worlds"
            )
        if dtype is None and not value.is_floating_point():
            raise self.wrong(f"{what} must be of a float type, not {value.dtype}")
        if dtype is not None and value.dtype != dtype:
            raise self.wrong(f"{what} must be {dtype}, not {value.dtype}")
        if not bool(value.isfinite().all()):
            raise self.wrong(f"{what} is not finite: it holds a NaN or an infinity")

    def mapping(self, what: str, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise self.wrong(f"{what} must be a dict of names to tensors, not {_kind(value)}")
        return value

    def ask(self, method: str, call: Callable[[], T]) -> T:
        with _blamed(self.task, self.where, method):
            return call()

    def wrong(self, message: str) -> TaskError:
        return TaskError(f"{self.where}: in the task {self.task.name!r}, {message}")


def _world_count(task: Task) -> int:
    """Choose a number of worlds that differs from every size of the task, so that no wrong shape fits by chance."""
    sizes = {size for field in task.layout.fields for size in (*field.shape, field.size)} | {len(task.action_low)}
    if isinstance(task.model, mujoco.MjModel):
        # All sizes of the model: nq, nv, nu, nsensor, …
        counts = (name for name in dir(task.model) if name.startswith("n"))
        sizes |= {value for name in counts if isinstance(value := getattr(task.model, name), int)}
    return next(count for count in itertools.count(_FEWEST_WORLDS) if count not in sizes)


@contextmanager
def _blamed(task: Task, where: str, method: str) -> Iterator[None]:
    """Convert what ``method`` raises to a TaskError with the line of the task file that it passed through."""
    try:
        yield
    except (TaskError, KeyboardInterrupt):
        raise
    except Exception as error:
        # The error of an environment says where it was raised
        if isinstance(error, SimulationFailed) and isinstance(task.__dict__.get("model"), EnvironmentSpec):
            raise TaskError(f"{where}: in the task {task.name!r}, {error}") from error
        file = inspect.getsourcefile(type(task))
        # The innermost line of the task file, and the outermost function of it
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        place, method = (f"{file}:{frames[-1].lineno}", frames[0].name) if frames else (where, method)
        kind = "" if isinstance(error, RewardgenError) else f"{type(error).__name__}: "
        hint = "" if isinstance(error, SimulationFailed) else "; correct that line"
        raise TaskError(f"{place}: in the task {task.name!r}, {method}() failed: {kind}{error}{hint}") from error


def _wrong_declarations(task: type[Task]) -> Iterator[str]:
    # None may be a declared value, so a missing one needs a mark of its own
    absent = object()
    for name in _TEXTS:
        value = getattr(task, name, absent)
        if value is absent:
            yield f"{name} is missing"
        elif not isinstance(value, str) or not value.strip():
            yield f"{name} must be a text, not {value!r}"
    for name in _COUNTS:
        value = getattr(task, name, absent)
        if value is absent:
            yield f"{name} is missing"
        elif not isinstance(value, int) or isinstance(value, bool) or value < 1:
            yield f"{name} must be a whole number from 1, not {value!r}"
    if not isinstance(task.group, str) or not _GROUP.fullmatch(task.group):
        yield f"group must be one word in lower-case letters, digits and _, such as gymnasium, not {task.group!r}"
    threshold = getattr(task, "success_threshold", absent)
    if threshold is absent:
        yield "success_threshold is missing"
    elif not isinstance(threshold, int | float) or not math.isfinite(threshold):
        yield f"success_threshold must be a finite number, not {threshold!r}"
    # Abstract methods that the class does not implement
    missing = sorted(getattr(task, "__abstractmethods__", ()))
    if missing:
        yield f"these methods are missing: {', '.join(missing)}"
    yield from _wrong_fields(getattr(task, "fields", None))
    try:
        validate_settings(TrainingConfig, dict(task.training), "training")
    except ConfigError as error:
        yield str(error)
    except (TypeError, ValueError):
        yield f"training must be a dict of settings, not {task.training!r}"


def _wrong_fields(fields: Any) -> Iterator[str]:
    if fields is None:
        yield "fields is missing"
        return
    if not isinstance(fields, tuple) or not fields or not all(isinstance(field, Field) for field in fields):
        yield f"fields must be a tuple of at least one Field, not {fields!r}"
        return
    # Names that programs can use as attributes; hidden fields must come last
    seen: set[str] = set()
    hidden = False
    for field in fields:
        name = field.name
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            yield f"the field name {name!r} must be a Python name without a leading underscore"
        if name in seen:
            yield f"the field {name!r} is declared twice"
        seen.add(name)
        whole = isinstance(field.shape, tuple) and all(isinstance(size, int) and size > 0 for size in field.shape)
        if not whole:
            yield f"the shape of the field {name!r} must be a tuple such as () or (3,), not {field.shape!r}"
        if hidden and not field.hidden:
            yield f"the field {name!r} stands behind a hidden one: hidden fields come last"
        hidden = hidden or field.hidden
        for part in ("unit", "meaning"):
            if not isinstance(getattr(field, part), str) or not getattr(field, part).strip():
                yield f"the {part} of the field {name!r} must be a text" + (' ("1" for none)' if part == "unit" else "")


def _place(task: type[Task]) -> str:
    try:
        return f"{inspect.getsourcefile(task)}:{inspect.getsourcelines(task)[1]}"
    except (OSError, TypeError):
        return task.__qualname__


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _listed(names: set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))


def _shape(value: Tensor) -> str:
    return str(tuple(value.shape))


def _symbolic(shape: tuple[int, ...]) -> str:
    """``(2, 3)`` as "(n, 3)": the first dimension is always the worlds."""
    rest = ", ".join(str(size) for size in shape[1:])
    return f"(n, {rest})" if rest else "(n,)"
