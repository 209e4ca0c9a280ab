"""Define the simulator interface: ``n`` worlds of one MuJoCo model on one device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import mujoco
import numpy as np
import torch
from torch import Tensor

from rewardgen.saved import Saved

STATE = (
    "time",
    "qpos",
    "qvel",
    "act",
    "history",
    "qacc_warmstart",
    "ctrl",
    "qfrc_applied",
    "xfrc_applied",
    "eq_active",
    "mocap_pos",
    "mocap_quat",
    "userdata",
    "plugin_state",
    "plastic",
)
"""The fields that make up mjSTATE_INTEGRATION: all that the next step of a world depends on, unless it may sleep."""


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
    dtype: torch.dtype
    """Precision of the floating-point fields."""
    masked: ClassVar[bool] = False
    """Whether worlds are reset with ``restart``: on a GPU, indices of ended worlds would require a synchronisation."""

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
        """``(num_worlds,)`` bools: True where a number became NaN or huge in a ``step`` since the last ``reset``.

        What such a world's state holds is without meaning until its next reset.
        """

    @abstractmethod
    def reset(self, ids: Tensor) -> None:
        """Set the worlds ``ids`` ``(k,)`` to the model's defaults, without computing derived fields."""

    @abstractmethod
    def forward(self, ids: Tensor) -> None:
        """Compute the derived fields of the worlds ``ids`` ``(k,)`` from their present state (``mj_forward``)."""

    def restart(self, ended: Tensor, write: Callable[[], None]) -> None:
        """Reset the worlds where ``ended`` ``(num_worlds,)`` holds, without synchronising with the device.

        ``write`` is called with every world at the model's defaults, to write start states into all of them; then the
        other worlds get their states back, derived fields included.
        """
        raise NotImplementedError  # called only if ``masked``

    @property
    def device_bytes(self) -> int:
        """Bytes of GPU memory that the worlds take; 0 on the CPU."""
        return 0

    def check(self) -> None:  # noqa: B027  (most have nothing to say)
        """Raise errors that concern all worlds since the last check. The only method that waits for the device.

        Raises:
            SimulationFailed: the results are invalid; the message says what to do.
        """

    def keep(self, ids: Tensor) -> Simulator | None:
        """Return a simulator of only the worlds ``ids`` ``(k,)``, which continue exactly as they would have here.

        Derived fields are valid after the next ``step`` or ``forward``. Do not use this simulator afterwards. Returns
        None if this is not supported; then this simulator stays valid.
        """
        return None

    def save(self) -> dict[str, Tensor] | None:
        """Return field name → values: all that the next steps and readings depend on.

        None if this is not supported: then another process cannot continue the simulation.
        """
        return None

    def restore(self, saved: Saved) -> None:
        """Continue exactly from what ``save`` returned for the same number of worlds of the same model.

        Raises:
            ValueError: ``saved`` does not fit.
        """
        raise NotImplementedError  # called only if ``save`` is supported

    @abstractmethod
    def render(self, world: int, width: int = 480, height: int = 360) -> np.ndarray:
        """Render one world, ``(height, width, 3)`` uint8.

        Raises:
            SimulationFailed: this machine can render neither with EGL nor with OSMesa nor in a window.
        """
