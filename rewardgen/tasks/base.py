"""Define ``Task``. A task file in ``envs/`` holds one or more subclasses, each registered with ``@register(NAME)``."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import mujoco
import torch
from torch import Tensor

from rewardgen.errors import MissingPackage
from rewardgen.records import Episodes, Field, Layout, State
from rewardgen.sim import Simulator
from rewardgen.tasks.assets import absent, package_asset
from rewardgen.tasks.choices import one_hot
from rewardgen.tasks.random import WorldRandom

_DRIVES_JOINT = {int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT)}

RewardAndTerms = tuple[Tensor, dict[str, Tensor]]


class Task(ABC):
    """Define a model, observations, actions, terminations and the fitness, in batched torch on named state fields.

    ``n`` is the number of worlds (or of transitions, or of episodes) in a call; every method must treat them
    independently of each other.
    """

    name: ClassVar[str]
    """``domain/task``; set by ``register``."""
    group: ClassVar[str] = "own"
    """Origin of the task in one lower-case word, such as "gymnasium" or "dmc"; "own": the user's."""
    description: ClassVar[str]
    """A sentence or two on what the system should do: the language model learns nothing else about the goal."""
    fields: ClassVar[tuple[Field, ...]]
    frame_skip: ClassVar[int]
    """Physics substeps in one control step."""
    horizon: ClassVar[int]
    """Control steps after which an episode is truncated."""
    fitness_unit: ClassVar[str]
    fitness_meaning: ClassVar[str]
    """One line for people: what ``fitness`` measures."""
    fitness_range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    """Minimum and maximum fitness of an episode; reported intervals are clipped to them."""
    success_threshold: ClassVar[float]
    """An episode with at least this fitness is a success."""
    expert_source: ClassVar[str]
    """Author and source of the expert reward."""
    gymnasium_id: ClassVar[str | None] = None
    """The Gymnasium environment that this task matches, if there is one."""
    package: ClassVar[tuple[str, str] | None] = None
    """Optional package that provides the model: import name and pip requirement."""
    training: ClassVar[Mapping[str, Any]] = {}
    """Settings of ``TrainingConfig`` that suit this domain better than the defaults."""

    def asset(self, path: str) -> Path:
        """The file ``path`` inside the task's ``package``.

        Raises:
            MissingPackage: the package is not installed.
            TaskError: its release has no such file.
        """
        assert self.package is not None  # asked for by tasks that declare one
        return package_asset(self.package[0], path, self.package[1])

    @classmethod
    def missing(cls) -> MissingPackage | None:
        """Return what must be installed before the task can be made, or None."""
        return None if cls.package is None else absent(*cls.package, f"the model of {cls.name}")

    # ---- the model

    @abstractmethod
    def make_model(self) -> mujoco.MjModel:
        """Compile a new model."""

    @cached_property
    def model(self) -> mujoco.MjModel:
        return self.make_model()

    @cached_property
    def layout(self) -> Layout:
        return Layout(self.fields)

    @property
    def control_step(self) -> float:
        """Seconds between two actions."""
        return float(self.model.opt.timestep) * self.frame_skip

    @property
    def action_size(self) -> int:
        return len(self.action_low)

    @cached_property
    def action_low(self) -> Tensor:
        """``(action_size,)`` float32; by default the actuators' range in their own units (see ``advance``)."""
        return torch.as_tensor(self.model.actuator_ctrlrange[:, 0], dtype=torch.float32)

    @cached_property
    def action_high(self) -> Tensor:
        return torch.as_tensor(self.model.actuator_ctrlrange[:, 1], dtype=torch.float32)

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """What each component of an action drives, by default in the model's own names.

        That is the actuator's; one without a name goes by the joint that it drives, or by its column.
        """
        model, names = self.model, []
        for index in range(model.nu):
            name = model.actuator(index).name
            if not name and int(model.actuator_trntype[index]) in _DRIVES_JOINT:
                name = model.joint(int(model.actuator_trnid[index, 0])).name
            names.append(name or f"column {index}")
        return tuple(names)

    @property
    def action_choices(self) -> tuple[int, ...]:
        """The options of each component of a discrete action, whose columns are one-hot; empty: columns are numbers."""
        return ()

    def clip(self, action: Tensor) -> Tensor:
        """``action`` ``(..., action_size)`` within its range, as the simulation applies it.

        A discrete action takes the option with the largest column of each component.
        """
        if self.action_choices:
            return one_hot(action, self.action_choices)
        return torch.clamp(action, *self._range(action.device))

    def _range(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """``action_low`` and ``action_high`` on ``device``, where they stay: a copy waits for the device."""
        if device not in self._ranges:
            self._ranges[device] = self.action_low.to(device), self.action_high.to(device)
        return self._ranges[device]

    @cached_property
    def _ranges(self) -> dict[torch.device, tuple[Tensor, Tensor]]:
        return {}

    @cached_property
    def observation_size(self) -> int:
        probe = State(self.layout, torch.zeros(1, self.layout.width))
        return int(self.observation(probe).shape[-1])

    # ---- the simulation

    @abstractmethod
    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Write fresh start states of the worlds ``ids`` ``(k,)`` into ``sim``.

        The worlds stand at the model's defaults when this is called, and ``sim.forward(ids)`` follows it. All
        randomness comes from ``generator``, which draws ``(k, ...)`` values in the simulator's precision and on its
        device, each world's from its own stream. Tensors made here must be on ``sim.device`` too.
        """

    @abstractmethod
    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Field name → ``(num_worlds, *shape)``, of any float dtype, for all declared fields.

        Uses ``sim.field`` and ``sim.model``, torch and the module's constants alone: an exported reward carries this
        method's source along.
        """

    def advance(self, sim: Simulator, action: Tensor) -> None:
        """Take one control step in every world under ``action`` ``(num_worlds, action_size)``, within its range.

        By default an action is the actuators' commands. A task whose actions are something else says here what they
        do, and gives ``action_low``, ``action_high`` and, where they do not go with the actuators one by one,
        ``action_names``. Each substep goes through ``sim.step``, ``frame_skip`` of them in all.
        """
        sim.step(action, self.frame_skip)

    # ---- what the policy sees

    @abstractmethod
    def observation(self, state: State) -> Tensor:
        """``(n, observation_size)`` float32."""

    def terminations(self, state: State) -> dict[str, Tensor]:
        """Cause in a word or two ("fell over") → ``(n,)`` bools. No entry: only the time limit ends an episode."""
        return {}

    def terminated(self, state: State) -> Tensor:
        """``(n,)`` bools: True where any of ``terminations`` holds in the state that a step led to."""
        ended = torch.zeros(len(state), dtype=torch.bool, device=state._matrix.device)
        for cause in self.terminations(state).values():
            ended |= cause
        return ended

    # ---- what is wanted

    @abstractmethod
    def fitness(self, episode: Episodes) -> Tensor:
        """Measure each of ``n`` whole episodes: ``(n,)`` float32 in ``fitness_unit``; higher is better."""

    @abstractmethod
    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """The human-written reward of this task (``expert_source``), in the form of any candidate."""

    @abstractmethod
    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for each transition that meets the goal, else 0, in the form of any candidate."""
