"""Choose the simulator class."""

from __future__ import annotations

from typing import Literal, TypeAlias

import mujoco
import torch

from rewardgen.errors import SimulationFailed
from rewardgen.sim.base import Simulator
from rewardgen.sim.cpu import MujocoSim
from rewardgen.sim.gymnasium import EnvironmentSpec, GymnasiumSim
from rewardgen.sim.threads import available_threads

Model: TypeAlias = mujoco.MjModel | EnvironmentSpec
"""What can be simulated."""
_CPU = torch.device("cpu")


def make_simulator(
    model: Model,
    num_worlds: int,
    *,
    kind: Literal["mujoco", "warp"] = "mujoco",
    device: torch.device = _CPU,
    threads: int = 0,
) -> Simulator:
    """Make a simulator of ``num_worlds`` worlds of ``model``.

    Args:
        model: what is simulated; an environment is stepped in ``threads`` processes, whatever else is asked for.
        num_worlds: how many.
        kind: "mujoco" simulates on ``threads`` processor threads (0: all), wherever the learning is done; "warp" on
            ``device``.
        device: where the learning is done.
        threads: for "mujoco" alone.

    Raises:
        SimulationFailed: the simulator does not support the model, or is not installed.
    """
    if isinstance(model, EnvironmentSpec):
        return GymnasiumSim(model, num_worlds, threads or available_threads())
    if kind == "mujoco":
        return MujocoSim(model, num_worlds, threads)
    if kind == "warp":
        from rewardgen.sim.warp import WarpSim  # its packages are optional, and take seconds to import

        return WarpSim(model, num_worlds, device)
    raise SimulationFailed(f"there is no simulator {kind!r}; there are mujoco and warp")
