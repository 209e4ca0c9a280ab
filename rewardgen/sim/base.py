"""What a simulator is: ``n`` worlds of one MuJoCo model on one device."""

from __future__ import annotations

from abc import ABC, abstractmethod

import mujoco
import numpy as np
import torch
from torch import Tensor


class Simulator(ABC):
    """``num_worlds`` copies of ``model``, stepped together.

    Fields are live: a tensor from ``field`` keeps following the simulation, and writing to a state field (``qpos``,
    ``qvel``, ``ctrl``, ``mocap_pos``, …) sets it. Derived fields (``xpos``, ``sensordata``, …) are read-only and, as
    with ``mj_step``, describe the state before the last substep (``keep_current`` asks for more); after ``forward``,
    and when ``field`` is first asked for them, they describe the present state.
    """

    model: mujoco.MjModel
    num_worlds: int
    device: torch.device

    @abstractmethod
    def field(self, name: str) -> Tensor:
        """The MjData field ``name`` of all worlds, ``(num_worlds, ...)`` in the simulator's own precision, no copy.

        Raises:
            SimulationFailed: MuJoCo has no such field.
        """

    @abstractmethod
    def step(self, ctrl: Tensor, nstep: int) -> None:
        """Apply ``ctrl`` ``(num_worlds, nu)`` and advance every world by ``nstep`` substeps of ``mj_step``.

        Raises:
            SimulationFailed: MuJoCo reported an error.
        """

    @abstractmethod
    def diverged(self) -> Tensor:
        """``(num_worlds,)`` bools: True where a number became NaN or huge during the last ``step``.

        What such a world's state holds is without meaning until its next reset.
        """

    @abstractmethod
    def reset(self, ids: Tensor) -> None:
        """Set the worlds ``ids`` ``(k,)`` to the model's defaults, without computing derived fields."""

    @abstractmethod
    def forward(self, ids: Tensor) -> None:
        """Compute the derived fields of the worlds ``ids`` ``(k,)`` from their present state (``mj_forward``)."""

    def keep(self, ids: Tensor) -> Simulator | None:
        """A simulator of the worlds ``ids`` ``(k,)`` alone, which go on exactly as they would have here.

        Derived fields are those of the next ``step`` or ``forward``. This simulator is not to be used any more. None
        where that cannot be done: then it stays as it is.
        """
        return None

    @abstractmethod
    def render(self, world: int, width: int = 480, height: int = 360) -> np.ndarray:
        """A picture of one world, ``(height, width, 3)`` uint8.

        Raises:
            SimulationFailed: this machine can render neither with EGL nor with OSMesa nor in a window.
        """
