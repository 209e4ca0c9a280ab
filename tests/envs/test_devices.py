"""Every task can be simulated on a GPU: shown without one, on torch's meta device.

A tensor there has a shape and no values. Mixing it with one on the CPU is an error, and so is asking for a value: just
what would be an error, or a wait for the device, on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
import pytest
import torch
from torch import Tensor

from rewardgen.records import Episodes, State
from rewardgen.sim import Simulator
from rewardgen.tasks import Task, Worlds
from tests.ours import TASKS, loaded
from tests.sampling import few

WORLDS = 3
META = torch.device("meta")


class ShapesOnly(Simulator):
    """Worlds on the meta device, whose fields have their shapes alone."""

    masked = True

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model, self.num_worlds, self.device, self.dtype = model, WORLDS, META, torch.float32
        self._data = mujoco.MjData(model)

    def field(self, name: str) -> Tensor:
        return torch.empty((WORLDS, *np.shape(getattr(self._data, name))), device=META)

    def step(self, ctrl: Tensor, nstep: int) -> None:
        assert ctrl.device == META

    def diverged(self) -> Tensor:
        return torch.zeros(WORLDS, dtype=torch.bool, device=META)

    def reset(self, ids: Tensor) -> None:
        raise AssertionError("worlds are not reset by number on a device")

    def forward(self, ids: Tensor) -> None:
        pass

    def restart(self, ended: Tensor, write: Callable[[], None]) -> None:
        assert ended.device == META
        write()

    def render(self, world: int, width: int = 480, height: int = 360) -> np.ndarray:
        raise NotImplementedError


WAITS = {  # they draw starts anew until nothing touches or nothing moves, and look at the device to know
    "dmc_ball_in_cup/catch",
    "dmc_finger/spin",
    "dmc_finger/turn_easy",
    "dmc_finger/turn_hard",
    "dmc_humanoid/run",
    "dmc_humanoid/stand",
    "dmc_humanoid/walk",
    "dmc_manipulator/bring_ball",
    "dmc_quadruped/run",
    "dmc_quadruped/walk",
    "shadow_hand/pen_reorient",
    "shadow_hand/pen_spin",
}


@pytest.fixture(scope="module", params=few(TASKS))
def task(request: pytest.FixtureRequest) -> Task:
    return loaded(request.param)


def test_a_step_with_fresh_starts_stays_on_the_device(task: Task, request: pytest.FixtureRequest) -> None:
    if task.name in WAITS:
        request.node.add_marker(pytest.mark.xfail(raises=NotImplementedError, reason="its starts wait for the device"))
    worlds = Worlds(task, ShapesOnly(task.model), torch.arange(WORLDS))
    for _ in range(2):
        step = worlds.step(torch.zeros(WORLDS, task.action_size, device=META))
        for tensor in (*step, worlds.matrix, worlds.age, task.observation(worlds.state)):
            assert tensor.device == META
    assert step.next_matrix.shape == (WORLDS, task.layout.width)
    assert step.next_matrix.dtype == torch.float32
    assert task.observation(worlds.state).shape == (WORLDS, task.observation_size)


def test_rewards_and_fitness_stay_on_the_device(task: Task) -> None:
    state = State(task.layout, torch.empty(WORLDS, task.layout.width, device=META))
    action = torch.empty(WORLDS, task.action_size, device=META)
    for reward in (task.expert_reward, task.sparse_reward):
        total, terms = reward(state, action, state)
        assert total.device == META
        assert all(term.device == META for term in terms.values())
    episodes = Episodes(
        layout=task.layout,
        states=torch.empty(task.horizon + 1, WORLDS, task.layout.width, device=META),
        actions=torch.empty(task.horizon, WORLDS, task.action_size, device=META),
        length=torch.empty(WORLDS, dtype=torch.int64, device=META),
        terminated=torch.empty(WORLDS, dtype=torch.bool, device=META),
        control_step=task.control_step,
    )
    assert task.fitness(episodes).device == META
