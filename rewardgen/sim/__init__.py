"""Simulators: ``n`` worlds of one MuJoCo model, stepped together, with their fields as live torch tensors.

sim = MujocoSim(model, num_worlds=512)
sim.field("qpos")[:, 0] = 1.0
sim.forward(torch.arange(512))
sim.step(ctrl, nstep=5)
"""

from rewardgen.sim import _mujoco  # noqa: F401  (first: it decides how MuJoCo is imported)
from rewardgen.sim.arrangement import Arrangement, arrange
from rewardgen.sim.base import Simulator
from rewardgen.sim.choice import make_simulator
from rewardgen.sim.cpu import MujocoSim
from rewardgen.sim.derived import compute_post_constraint, keep_current
from rewardgen.sim.gymnasium import EnvironmentSpec, GymnasiumSim, Source
from rewardgen.sim.threads import available_threads, torch_threads

__all__ = [
    "Arrangement",
    "EnvironmentSpec",
    "GymnasiumSim",
    "MujocoSim",
    "Simulator",
    "Source",
    "arrange",
    "available_threads",
    "compute_post_constraint",
    "keep_current",
    "make_simulator",
    "torch_threads",
]
