"""The Fetch tasks against Gymnasium-Robotics' own environments, for whole episodes on the same MuJoCo.

The package's code runs beside MuJoCo 4 but for one comparison (see ``robotics.original``). Both simulate the same; what
is left is our float32 states.
"""

from __future__ import annotations

import sys

import gymnasium
import numpy as np
import pytest
import torch

from rewardgen.errors import MissingPackage
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, Worlds, load_task, task_names
from tests.envs.robotics import Twin, assert_same_distribution, original
from tests.ours import loaded
from tests.sampling import few

MATCHED = {
    "fetch/reach": "FetchReachDense-v4",
    "fetch/push": "FetchPushDense-v4",
    "fetch/slide": "FetchSlideDense-v4",
    "fetch/pick_and_place": "FetchPickAndPlaceDense-v4",
}
TOLERANCE = {"rtol": 1e-5, "atol": 2e-6}
STARTS = 1000


def flat(observation: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([observation[part] for part in ("achieved_goal", "desired_goal", "observation")])


def copy_start(twin: Twin, env: gymnasium.Env) -> None:
    raw = env.unwrapped
    link = raw.data.body("robot0:gripper_link")
    twin.write(
        qpos=raw.data.qpos,
        qvel=raw.data.qvel,
        mocap_pos=np.stack([link.xpos, raw.goal]),
        mocap_quat=np.stack([link.xquat, [1.0, 0.0, 0.0, 0.0]]),
    )


def towards(observation: np.ndarray, task: Task, rng: np.random.Generator) -> np.ndarray:
    """Towards the object, closing the fingers now and then: so that there is contact."""
    noise = rng.uniform(-0.7, 0.7, 4)
    gripper = observation[6:9]
    target = observation[0:3] if task.name != "fetch/reach" else observation[3:6]
    noise[:3] += 8.0 * (target - gripper)
    return np.clip(noise, -1.2, 1.2).astype(np.float32)


@pytest.mark.parametrize("name", few(MATCHED, 2))
def test_whole_episodes_match(name: str) -> None:
    task, rng = loaded(name), np.random.default_rng(0)
    twin = Twin(task)
    moved = successes = 0.0
    with original(MATCHED[name]) as env:
        assert env.spec.max_episode_steps == task.horizon
        assert task.control_step == pytest.approx(env.unwrapped.dt, rel=1e-12)
        assert task.action_size == env.action_space.shape[0]
        for seed in range(3):
            observation, _ = env.reset(seed=seed)
            began = observation["achieved_goal"]
            copy_start(twin, env)
            np.testing.assert_allclose(twin.observation(), flat(observation), **TOLERANCE)
            for step in range(task.horizon):
                before = twin.read()
                action = towards(flat(observation), task, rng)
                observation, reward, _, truncated, info = env.step(action)
                after, applied = twin.step(action)
                said = f"seed {seed}, step {step}"
                np.testing.assert_allclose(twin.observation(), flat(observation), **TOLERANCE, err_msg=said)
                total, terms = task.expert_reward(before, applied, after)
                assert float(total) == pytest.approx(reward, abs=1e-6), said
                assert float(sum(terms.values())) == pytest.approx(float(total), abs=1e-6)
                there, _ = task.sparse_reward(before, applied, after)
                assert float(there) == info["is_success"], said
                successes += info["is_success"]
            assert truncated
            moved += np.linalg.norm(observation["achieved_goal"] - began)
    assert moved > 0.05
    assert successes > 0 or name != "fetch/reach"


@pytest.mark.parametrize("name", few(MATCHED, 2))
def test_starts_have_the_same_distribution(name: str) -> None:
    task = loaded(name)
    worlds = Worlds(task, MujocoSim(task.model, STARTS, 1), torch.arange(STARTS))
    worlds.start()
    ours = task.observation(worlds.state).double().numpy()
    with original(MATCHED[name]) as env:
        env.reset(seed=0)
        theirs = np.stack([flat(env.reset()[0]) for _ in range(STARTS)])
    assert_same_distribution(ours, theirs)


def test_an_object_starts_clear_of_the_gripper_and_goals_are_on_the_table_or_above() -> None:
    for name, air in (("fetch/push", False), ("fetch/pick_and_place", True)):
        task = load_task(name)
        worlds = Worlds(task, MujocoSim(task.model, 2000, 1), torch.arange(2000))
        worlds.start()
        state = worlds.state
        away = (state.object_position - state.gripper_position)[:, :2].norm(dim=-1)
        assert away.min() >= 0.1 - 1e-5
        above = state.goal_position[:, 2] - state.object_position[:, 2]
        assert ((above > 1e-3).float().mean().item() == pytest.approx(0.5, abs=0.05)) == air
        assert (above.max() <= 0.45) and (above.min() >= -1e-4)


def test_without_the_package_an_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium_robotics", None)  # what Python takes for: cannot be imported
    assert set(MATCHED) <= set(task_names())
    with pytest.raises(MissingPackage, match=r"pip install 'rewardgen\[robotics\]'") as caught:
        load_task("fetch/push")
    assert caught.value.install == "pip install 'rewardgen[robotics]'"
