"""Gymnasium-Robotics' own environments beside ours: the same states and actions through both."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from scipy.stats import ks_2samp

from rewardgen.records import State
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task


class _Mujoco:
    """The mujoco module, but for its joint types, which are plain integers.

    Gymnasium-Robotics 1.4.2 asks whether a number of numpy's is in a tuple of joint types; for MuJoCo 4's own type of
    those it never is, and an assertion fails that was meant for something else. Nothing but that is changed.
    """

    mjtJoint = SimpleNamespace(**{name: int(value) for name, value in mujoco.mjtJoint.__members__.items()})

    def __getattr__(self, name: str) -> Any:
        return getattr(mujoco, name)


@contextmanager
def original(name: str, **settings: Any) -> Iterator[gymnasium.Env]:
    """The package's environment ``name``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import gymnasium_robotics
        from gymnasium_robotics.utils import mujoco_utils

        mujoco_utils.mujoco = _Mujoco()
        gymnasium.register_envs(gymnasium_robotics)
        env = gymnasium.make(name, **settings)
    try:
        yield env
    finally:
        mujoco_utils.mujoco = mujoco
        env.close()


class Twin:
    """One world of ours."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.sim = MujocoSim(task.model, 1, threads=1)
        self.read()  # a simulator computes the derived fields that somebody has asked for

    def write(self, **fields: np.ndarray) -> None:
        """Set state fields and compute what follows from them."""
        world = torch.tensor([0])
        self.sim.reset(world)
        for name, value in fields.items():
            self.sim.field(name)[0] = torch.tensor(value)
        self.sim.forward(world)

    def read(self) -> State:
        layout = self.task.layout
        return State(layout, layout.pack(self.task.state(self.sim), torch.empty(1, layout.width)))

    def step(self, action: np.ndarray) -> tuple[State, torch.Tensor]:
        """The state that ``action`` leads to, and the action as it was applied."""
        applied = self.task.clip(torch.from_numpy(action)[None])
        self.task.advance(self.sim, applied)
        return self.read(), applied

    def observation(self) -> np.ndarray:
        return self.task.observation(self.read())[0].numpy()


def assert_same_distribution(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Two samples ``(n, size)`` of the same size, column by column (Kolmogorov and Smirnov)."""
    ours, theirs = ours.round(6), theirs.round(6)  # a value that many share is the same in float32 too
    constant = theirs.std(0) < 1e-6
    np.testing.assert_allclose(ours[:, constant], theirs[:1, constant].repeat(len(ours), 0), rtol=1e-5, atol=1e-5)
    furthest = 2.0 * np.sqrt(2.0 / len(ours))  # beyond this once in 1500 samples
    for column in np.flatnonzero(~constant):
        apart = ks_2samp(ours[:, column], theirs[:, column]).statistic
        assert apart <= furthest, f"column {column}: {apart}"
