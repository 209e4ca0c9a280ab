"""Which simulator it is: the one place that chooses."""

from __future__ import annotations

from typing import Literal

import mujoco
import torch

from rewardgen.errors import SimulationFailed
from rewardgen.sim.base import Simulator
from rewardgen.sim.cpu import MujocoSim


def make_simulator(
    model: mujoco.MjModel,
    num_worlds: int,
    *,
    kind: Literal["mujoco", "warp"],
    device: torch.device,
    threads: int = 0,
) -> Simulator:
    """``num_worlds`` worlds of ``model``.

    Args:
        model: what is simulated.
        num_worlds: how many.
        kind: "mujoco" simulates on ``threads`` processor threads (0: all), wherever the learning is done; "warp" on
            ``device``.
        device: where the learning is done.
        threads: for "mujoco" alone.

    Raises:
        SimulationFailed: the simulator refuses the model, or is not installed.
    """
    if kind == "mujoco":
        return MujocoSim(model, num_worlds, threads)
    if kind == "warp":
        from rewardgen.sim.warp import WarpSim  # its packages are optional, and take seconds to import

        return WarpSim(model, num_worlds, device)
    raise SimulationFailed(f"there is no simulator {kind!r}; there are mujoco and warp")
