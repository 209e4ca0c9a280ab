"""What the simulation shows of a task: named fields, their layout in a matrix, states and whole episodes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # half of the commands read records and no tensors
    from torch import Tensor


@dataclass(frozen=True)
class Field:
    """One named quantity of a task's state.

    ``shape`` is the shape in one world: ``()`` for a scalar, ``(3,)`` for a vector, ``(2, 3)`` for two of them.
    ``unit`` is an SI unit as people write it ("m/s", "rad", "N m"), "1" for a pure number.
    ``meaning`` is the line that the language model and the report show. A ``hidden`` field is for the task's own use,
    such as where success is read from: no prompt names it and no reward receives it. Hidden fields come last.
    """

    name: str
    shape: tuple[int, ...]
    unit: str
    meaning: str
    hidden: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """Name, shape, unit and meaning as plain values, for the store and for prompts."""
        return {"name": self.name, "shape": list(self.shape), "unit": self.unit, "meaning": self.meaning}

    @property
    def size(self) -> int:
        """Number of float32 columns of the field."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """Where a task's fields lie in the columns of one ``(n, width)`` float32 matrix."""

    fields: tuple[Field, ...]

    @cached_property
    def width(self) -> int:
        return sum(field.size for field in self.fields)

    @cached_property
    def shown(self) -> Layout:
        """The fields that are not hidden: the first ``shown.width`` columns."""
        return Layout(tuple(item for item in self.fields if not item.hidden))

    @cached_property
    def columns(self) -> dict[str, slice]:
        """Field name → its columns."""
        slices, start = {}, 0
        for item in self.fields:
            slices[item.name] = slice(start, start + item.size)
            start += item.size
        return slices

    @cached_property
    def by_name(self) -> dict[str, Field]:
        return {item.name: item for item in self.fields}

    def read(self, matrix: Tensor, name: str) -> Tensor:
        """Return the field ``name`` of ``matrix`` ``(..., width)`` as ``(..., *shape)``: a view, never a copy."""
        part = matrix[..., self.columns[name]]
        shape = self.by_name[name].shape
        return part.squeeze(-1) if shape == () else part.unflatten(-1, shape) if len(shape) > 1 else part

    def pack(self, values: Mapping[str, Tensor], out: Tensor) -> Tensor:
        """Write ``values`` (name → ``(n, *shape)``, any float dtype) into ``out`` ``(n, width)`` and return it."""
        for name, columns in self.columns.items():
            value = values[name]
            out[:, columns] = value.reshape(value.shape[0], -1)
        return out


class State:
    """The typed view that observations, fitness and rewards read: ``state.torso_velocity`` is ``(n, 3)`` float32.

    A scalar field is ``(n,)``. Reading gives a view of the underlying matrix.

    Raises:
        AttributeError: the task declares no such field; the message lists those it does.
    """

    __slots__ = ("_layout", "_matrix")

    def __init__(self, layout: Layout, matrix: Tensor) -> None:
        self._layout = layout
        self._matrix = matrix

    def __getattr__(self, name: str) -> Tensor:
        if name not in self._layout.columns:
            known = ", ".join(self._layout.columns)
            raise AttributeError(f"the state has no field {name!r}; its fields are: {known}")
        return self._layout.read(self._matrix, name)

    def __len__(self) -> int:
        return int(self._matrix.shape[0])


@dataclass(frozen=True)
class Episodes:
    """``n`` whole episodes, padded with their last state to ``T`` control steps.

    ``states`` is ``(T + 1, n, width)``, ``actions`` ``(T, n, action_size)``; ``length`` ``(n,)`` counts the steps
    before the episode ended and ``terminated`` ``(n,)`` tells an end by failure from one by the time limit.
    ``causes`` names, per termination cause, the episodes that ended so, as ``(n,)`` bools.
    """

    layout: Layout
    states: Tensor
    actions: Tensor
    length: Tensor
    terminated: Tensor
    control_step: float
    causes: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.length.shape[0])

    @property
    def horizon(self) -> int:
        return int(self.actions.shape[0])

    def on_host(self) -> Episodes:
        """Return the same episodes in CPU memory, where a task's measures are taken; no copy if they are there."""
        if self.states.device.type == "cpu":
            return self
        return replace(
            self,
            states=self.states.cpu(),
            actions=self.actions.cpu(),
            length=self.length.cpu(),
            terminated=self.terminated.cpu(),
            causes={cause: held.cpu() for cause, held in self.causes.items()},
        )

    def field(self, name: str) -> Tensor:
        """Return the field over time, ``(T + 1, n, *shape)``."""
        return self.layout.read(self.states, name)

    def first(self, name: str) -> Tensor:
        """Return the field in each episode's first state, ``(n, *shape)``."""
        return self.field(name)[0]

    def last(self, name: str) -> Tensor:
        """Return the field in each episode's last state, ``(n, *shape)``."""
        import torch

        values = self.field(name)
        return values[self.length, torch.arange(len(self), device=values.device)]

    @property
    def mask(self) -> Tensor:
        """``(T, n)`` bools: True where a step belongs to its episode, False in the padding."""
        import torch

        steps = torch.arange(self.horizon, device=self.length.device)
        return steps[:, None] < self.length[None, :]
