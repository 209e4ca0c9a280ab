"""The Shadow Hand tasks against Gymnasium-Robotics' own environments on the same MuJoCo.

There the goal's body is free and falls, beside the rest and touching nothing; here it stands. MuJoCo's solver stops by
a measure that counts both, so what the two compute differs in the last digits, and contacts make more of it: before
each step of an episode our world is put into the package's state. The package's code runs beside MuJoCo 4 but for one
comparison (see ``robotics.original``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rewardgen.records import State
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Worlds
from tests.envs.robotics import Twin, assert_same_distribution, original
from tests.ours import loaded
from tests.sampling import few

MATCHED = {
    "shadow_hand/block": "HandManipulateBlockDense-v1",
    "shadow_hand/egg": "HandManipulateEggDense-v1",
    "shadow_hand/pen": "HandManipulatePenDense-v1",
}
TOLERANCE = {"rtol": 1e-5, "atol": 1e-3}  # the largest are velocities, of some rad/s; positions differ by far less
STARTS = 60


def flat(observation: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([observation[part] for part in ("achieved_goal", "desired_goal", "observation")])


def copy_state(twin: Twin, raw: Any) -> None:
    data = raw.data
    twin.write(
        qpos=data.qpos[:31],
        qvel=data.qvel[:30],
        qacc_warmstart=data.qacc_warmstart[:30],
        mocap_pos=raw.goal[None, :3],
        mocap_quat=raw.goal[None, 3:],
    )


@pytest.mark.parametrize("name", few(MATCHED, 2))
def test_whole_episodes_match(name: str) -> None:
    task, rng = loaded(name), np.random.default_rng(0)
    twin = Twin(task)
    with original(MATCHED[name]) as env:
        assert env.spec.max_episode_steps == task.horizon
        assert task.control_step == pytest.approx(env.unwrapped.dt, rel=1e-12)
        assert task.action_size == env.action_space.shape[0]
        observation, _ = env.reset(seed=0)
        copy_state(twin, env.unwrapped)
        np.testing.assert_allclose(twin.observation(), flat(observation), rtol=1e-6, atol=1e-6)
        action = np.zeros(task.action_size, np.float32)
        for step in range(task.horizon):
            copy_state(twin, env.unwrapped)
            before = twin.read()
            if step % 4 == 0:  # held for a while, so that it gets somewhere
                action = rng.uniform(-1.2, 1.2, task.action_size).astype(np.float32)
            observation, reward, terminated, truncated, info = env.step(action)
            after, applied = twin.step(action)
            np.testing.assert_allclose(twin.observation(), flat(observation), **TOLERANCE, err_msg=f"step {step}")
            np.testing.assert_allclose(twin.observation()[:7], flat(observation)[:7], atol=2e-5, err_msg=f"step {step}")
            total, terms = task.expert_reward(before, applied, after)
            assert float(total) == pytest.approx(reward, abs=1e-4), f"step {step}"
            assert float(sum(terms.values())) == pytest.approx(float(total), abs=1e-6)
            assert float(task.sparse_reward(before, applied, after)[0]) == info["is_success"]
            assert not terminated
            assert truncated == (step + 1 == task.horizon)


@pytest.mark.parametrize("name", few(MATCHED, 2))
def test_reward_and_success_match_wherever_the_thing_is(name: str) -> None:
    """Random actions reach no goal: poses are drawn around it instead, near ones and far."""
    task, rng = loaded(name), np.random.default_rng(0)
    with original(MATCHED[name]) as env:
        env.reset(seed=0)
        raw, count = env.unwrapped, 400
        goal = np.concatenate([rng.normal(0, 0.05, (count, 3)), rng.normal(size=(count, 4))], axis=-1)
        goal[:, 3:] /= np.linalg.norm(goal[:, 3:], axis=-1, keepdims=True)
        size = rng.uniform(0.0, 1.0, (count, 1)) ** 3
        pose = goal + size * rng.normal(0, 1, (count, 7)) * ([0.03] * 3 + [0.5] * 4)
        pose[:, 3:] /= np.linalg.norm(pose[:, 3:], axis=-1, keepdims=True)
        rewards = np.array([raw.compute_reward(p.copy(), g.copy(), {}) for p, g in zip(pose, goal, strict=True)])
        successes = np.array([raw._is_success(p.copy(), g.copy()) for p, g in zip(pose, goal, strict=True)])
    values = {field.name: torch.zeros(count, *field.shape) for field in task.fields}
    values |= {
        "object_position": torch.from_numpy(pose[:, :3]),
        "object_quaternion": torch.from_numpy(pose[:, 3:]),
        "goal_position": torch.from_numpy(goal[:, :3]),
        "goal_quaternion": torch.from_numpy(goal[:, 3:]),
    }
    state = State(task.layout, task.layout.pack(values, torch.empty(count, task.layout.width)))
    total, _ = task.expert_reward(state, torch.zeros(count, task.action_size), state)
    np.testing.assert_allclose(total.numpy(), rewards, rtol=1e-5, atol=1e-4)
    assert 20 < successes.sum() < count - 20
    np.testing.assert_array_equal(task.success(state).float().numpy(), successes)


@pytest.mark.parametrize("name", few(MATCHED, 2))
def test_starts_have_the_same_distribution(name: str) -> None:
    task = loaded(name)
    sim = MujocoSim(task.model, STARTS, 1)
    worlds = Worlds(task, sim, torch.arange(STARTS))
    worlds.start()
    ours = task.observation(worlds.state).double().numpy()
    with original(MATCHED[name]) as env:
        env.reset(seed=0)
        theirs = np.stack([flat(env.reset()[0]) for _ in range(STARTS)])
    seen = slice(0, 14)  # of the hand itself only the last digits differ from one settled start to the next
    assert_same_distribution(ours[:, seen], theirs[:, seen])
    offset = ours[:, 7:10] - ours[:, :3]
    assert (offset >= np.array([-0.04, -0.06, 0.0]) - 1e-6).all()
    assert (offset <= np.array([0.04, 0.02, 0.06]) + 1e-6).all()
    # Many different starts, not a few: settled anew for hundreds of episodes.
    assert len(np.unique(ours[:, :3].round(5), axis=0)) > STARTS // 2
