"""Each task of the Control Suite against dm_control's own environment: same states, same actions, every step compared.

The simulations are the same in every bit, so that what is left is our float32 states.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from rewardgen.records import Episodes, State
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, Worlds, task_names
from tests.ours import loaded
from tests.sampling import few

TASKS = [name for name in task_names() if name.startswith("dmc_")]
DOMAINS = sorted({name.partition("/")[0] for name in TASKS})
RESETS = 80


@cache
def suite() -> Any:
    """dm_control's suite. 1.0.50 lists fields of flexible bodies that MuJoCo 4 has no more and no task reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dm_control.mujoco.wrapper.mjbindings import sizes

        model = mujoco.MjModel.from_xml_string("<mujoco/>")
        for kind, struct in (("mjmodel", model), ("mjdata", mujoco.MjData(model))):
            for name in [name for name in sizes.array_sizes[kind] if not hasattr(struct, name)]:
                assert "flex" in name
                del sizes.array_sizes[kind][name]
        from dm_control import suite
    return suite


def original(name: str, seed: int) -> Any:
    domain, task = name.removeprefix("dmc_").split("/")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return suite().load(domain, task, task_kwargs={"random": seed})


def flat(observation: dict[str, Any]) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in observation.values()])


def target_of(physics: Any) -> tuple[np.ndarray, np.ndarray]:
    """Where the suite has put the target that is a mocap body here, and how it is turned."""
    model = physics.model
    for kind in (mujoco.mjtObj.mjOBJ_GEOM, mujoco.mjtObj.mjOBJ_SITE):
        found = mujoco.mj_name2id(model.ptr, kind, "target")
        if found >= 0:
            place = model.geom_pos if kind == mujoco.mjtObj.mjOBJ_GEOM else model.site_pos
            return place[found], np.array([1.0, 0.0, 0.0, 0.0])
    body = mujoco.mj_name2id(model.ptr, mujoco.mjtObj.mjOBJ_BODY, "target_ball")
    return model.body_pos[body], model.body_quat[body]


@dataclass
class Twin:
    """One world of ours beside an environment of the suite, in the same state."""

    task: Task
    env: Any

    def __post_init__(self) -> None:
        self.sim = MujocoSim(self.task.model, 1, threads=1)
        self.task.state(self.sim)  # the fields that it reads are computed from now on

    def copy_state(self) -> None:
        world, data = torch.tensor([0]), self.env.physics.data
        self.sim.reset(world)
        for name in ("qpos", "qvel", "act"):
            self.sim.field(name)[0] = torch.from_numpy(getattr(data, name))
        if self.task.model.nmocap:
            position, orientation = target_of(self.env.physics)
            self.sim.field("mocap_pos")[0, 0] = torch.from_numpy(position)
            self.sim.field("mocap_quat")[0, 0] = torch.from_numpy(orientation)
        self.sim.forward(world)
        self.sim.field("qacc_warmstart")[0] = torch.from_numpy(data.qacc_warmstart)

    def row(self) -> torch.Tensor:
        layout = self.task.layout
        return layout.pack(self.task.state(self.sim), torch.empty(1, layout.width))

    def observation(self) -> np.ndarray:
        return self.task.observation(State(self.task.layout, self.row()))[0].numpy()


def held_actions(env: Any, steps: int, seed: int) -> np.ndarray:
    """Random actions that are held for a while, so that they get somewhere: ``(steps, size)``."""
    rng, spec = np.random.default_rng(seed), env.action_spec()
    actions = rng.uniform(spec.minimum, spec.maximum, (steps, *spec.shape)).astype(np.float32)
    changes = (np.arange(steps) % 10 == 0) | (rng.random(steps) < 0.1)
    return actions[np.maximum.accumulate(np.where(changes, np.arange(steps), 0))]


@pytest.mark.parametrize("name", few(TASKS))
def test_a_whole_episode_matches(name: str) -> None:
    task, env = loaded(name), original(name, seed=1)
    assert task.group == "dmc"
    assert task.control_step == pytest.approx(env.control_timestep(), rel=1e-12)
    np.testing.assert_array_equal(task.action_low.numpy(), env.action_spec().minimum.astype(np.float32))
    np.testing.assert_array_equal(task.action_high.numpy(), env.action_spec().maximum.astype(np.float32))

    twin, actions = Twin(task, env), torch.from_numpy(held_actions(env, task.horizon, seed=2))
    seen, rewards = [flat(env.reset().observation)], []
    twin.copy_state()
    rows = [twin.row()]
    for step, action in enumerate(actions):
        theirs = env.step(action.numpy())
        seen.append(flat(theirs.observation))
        rewards.append(theirs.reward)
        assert theirs.last() == (step == task.horizon - 1)
        assert theirs.discount == 1.0  # nothing ends an episode of the suite but its time limit
        task.advance(twin.sim, action[None])
        rows.append(twin.row())
        assert (twin.sim.field("qpos")[0].numpy() == env.physics.data.qpos).all(), f"step {step}"

    states = torch.stack(rows)
    observation = task.observation(State(task.layout, states[:, 0]))
    np.testing.assert_allclose(observation.numpy(), np.stack(seen), rtol=1e-5, atol=2e-6)
    reward, _ = task.expert_reward(State(task.layout, states[:-1, 0]), actions, State(task.layout, states[1:, 0]))
    np.testing.assert_allclose(reward.numpy(), rewards, rtol=1e-4, atol=1e-5)
    episode = Episodes(
        layout=task.layout,
        states=states,
        actions=actions[:, None],
        length=torch.tensor([task.horizon]),
        terminated=torch.tensor([False]),
        control_step=task.control_step,
    )
    assert float(task.fitness(episode)) == pytest.approx(sum(rewards), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("domain", few(DOMAINS, 2))
def test_starts_have_the_same_distribution(domain: str) -> None:
    name = [task for task in TASKS if task.startswith(domain + "/")][-1]
    task, env = loaded(name), original(name, seed=3)
    sim = MujocoSim(task.model, RESETS, threads=1)
    Worlds(task, sim, torch.arange(RESETS)).start()
    mocap = [sim.field("mocap_pos").flatten(1), sim.field("mocap_quat").flatten(1)] if task.model.nmocap else []
    ours = torch.cat([sim.field("qpos"), sim.field("qvel"), *mocap], dim=-1).numpy()

    def draw() -> np.ndarray:
        env.reset()
        data = env.physics.data
        return np.concatenate([data.qpos, data.qvel, *(target_of(env.physics) if mocap else ())])

    theirs = np.stack([draw() for _ in range(RESETS)])
    spread = theirs.std(0)
    assert (ours[:, spread < 1e-12] == theirs[0, spread < 1e-12]).all()
    # 5 standard errors of the difference of two means; of quantiles, which are less sure, a share of the range
    assert (np.abs(ours.mean(0) - theirs.mean(0)) <= 5 * spread * np.sqrt(2 / RESETS) + 1e-12).all()
    reach = np.ptp(theirs, axis=0)
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        difference = np.abs(np.quantile(ours, share, axis=0) - np.quantile(theirs, share, axis=0))
        assert (difference <= 0.35 * reach + 1e-12).all(), f"quantile {share}"
