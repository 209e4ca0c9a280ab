"""The Adroit tasks against Gymnasium-Robotics' own environments, for whole episodes on the same MuJoCo.

Those run beside MuJoCo 4 as they are. What is left is our float32 states.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rewardgen.sim import MujocoSim
from rewardgen.tasks import Worlds
from tests.envs.robotics import Twin, assert_same_distribution, original
from tests.ours import loaded
from tests.sampling import few

MATCHED = {
    "adroit/door": "AdroitHandDoor-v1",
    "adroit/hammer": "AdroitHandHammer-v1",
    "adroit/pen": "AdroitHandPen-v1",
    "adroit/relocate": "AdroitHandRelocate-v1",
}
LOST_SIGN = ("adroit/door", "adroit/hammer", "adroit/relocate")
"""The package's releases 1.2.1 to 1.4.2 add the palm's distance to these rewards instead of taking it off."""
TOLERANCE = {"rtol": 2e-6, "atol": 2e-6}
STARTS = 600


def state_of(name: str, raw: Any) -> dict[str, np.ndarray]:
    """What ``Twin.write`` needs to put our world into the state of the package's environment."""
    model, data = raw.model, raw.data
    qpos, positions, turns = data.qpos.copy(), data.mocap_pos.copy(), data.mocap_quat.copy()
    if name == "adroit/relocate":  # there the ball's body is moved, here its slides are
        qpos[30:32] += model.body("Object").pos[:2]
        place, turn = model.site("target").pos, (1.0, 0.0, 0.0, 0.0)
    else:
        body = model.body({"adroit/door": "frame", "adroit/hammer": "nail_board", "adroit/pen": "target"}[name])
        place, turn = body.pos, body.quat
    # The package's own mocap body comes first in all of the models.
    return {
        "qpos": qpos,
        "qvel": data.qvel,
        "mocap_pos": np.vstack([positions, place]),
        "mocap_quat": np.vstack([turns, turn]),
        "qacc_warmstart": data.qacc_warmstart,
    }


@pytest.mark.parametrize("name", few(MATCHED, 2))
def test_whole_episodes_match(name: str) -> None:
    task, rng = loaded(name), np.random.default_rng(0)
    twin = Twin(task)
    with original(MATCHED[name]) as env:
        raw = env.unwrapped
        assert env.spec.max_episode_steps == task.horizon
        assert task.control_step == pytest.approx(raw.dt, rel=1e-12)
        assert task.action_size == env.action_space.shape[0]
        assert task.observation_size == env.observation_space.shape[0]
        observation, _ = env.reset(seed=0)
        twin.write(**state_of(name, raw))
        np.testing.assert_allclose(twin.observation(), observation, **TOLERANCE)
        action = np.zeros(task.action_size, np.float32)
        for step in range(task.horizon):
            before = twin.read()
            if step % 8 == 0:  # held for a while, so that it gets somewhere
                action = rng.uniform(-1.2, 1.2, task.action_size).astype(np.float32)
            observation, reward, terminated, truncated, info = env.step(action)
            after, applied = twin.step(action)
            np.testing.assert_allclose(twin.observation(), observation, **TOLERANCE, err_msg=f"step {step}")
            compare(task, before, applied, after, reward, info["success"], step)
            assert not terminated
            assert truncated == (step + 1 == task.horizon)


def compare(task: Any, before: Any, applied: Any, after: Any, reward: float, success: bool, step: int) -> None:
    total, terms = task.expert_reward(before, applied, after)
    wanted = float(total) - (2.0 * float(terms["reach"]) if task.name in LOST_SIGN else 0.0)
    assert wanted == pytest.approx(reward, rel=1e-5, abs=1e-5), f"step {step}"
    assert float(sum(terms.values())) == pytest.approx(float(total), rel=1e-5, abs=1e-5)
    assert float(task.sparse_reward(before, applied, after)[0]) == success, f"step {step}"


def put(name: str, raw: Any, share: float) -> None:
    """Bring the package's environment towards its goal, by ``share`` of the way: where its bonuses are."""
    qpos, qvel = raw.init_qpos.copy(), raw.init_qvel.copy()
    if name == "adroit/door":
        qpos[28], qvel[28], qvel[29] = 1.57 * share, 0.3, -0.2
    if name == "adroit/hammer":
        qpos[26], qpos[28] = 0.09 * share, 0.2 * share  # the nail, and the hammer's slide that lifts it
        qvel[26:33] = 0.1
    if name == "adroit/pen":  # turned about the two axes that the wanted direction is turned about
        turn = raw.model.body("target").quat
        wanted = 2.0 * np.arctan2(turn[1], turn[0]), 2.0 * np.arctan2(turn[2], turn[0])
        qpos[24:27] = (0.0, 0.0, 0.1 * share - 0.19 * (share > 0.95))
        qpos[28], qpos[27] = share * (wanted[1] - np.pi / 2.0), share * wanted[0]
    if name == "adroit/relocate":
        body, goal = raw.model.body("Object").pos, raw.model.site("target").pos
        qpos[30:33] = share * (goal - body)
    raw.set_state(qpos, qvel)


@pytest.mark.parametrize("name", few(MATCHED, 2))
def test_rewards_and_success_match_on_the_way_to_the_goal(name: str) -> None:
    """No random action gets there: the states that pay a bonus are set, and one step taken from each."""
    task = loaded(name)
    twin, rewards, successes = Twin(task), [], 0.0
    with original(MATCHED[name]) as env:
        raw = env.unwrapped
        for number, share in enumerate(np.linspace(0.0, 1.0, 41)):
            env.reset(seed=number)
            put(name, raw, share)
            twin.write(**state_of(name, raw))
            before = twin.read()
            action = np.zeros(task.action_size, np.float32)
            _, reward, _, _, info = env.step(action)
            after, applied = twin.step(action)
            compare(task, before, applied, after, reward, info["success"], number)
            rewards.append(reward)
            successes += info["success"]
    assert max(rewards) - min(rewards) > 10.0
    assert 0 < successes < 41


@pytest.mark.parametrize("name", few(MATCHED, 2))
def test_starts_have_the_same_distribution(name: str) -> None:
    task = loaded(name)
    worlds = Worlds(task, MujocoSim(task.model, STARTS, 1), torch.arange(STARTS))
    worlds.start()
    ours = task.observation(worlds.state).double().numpy()
    with original(MATCHED[name]) as env:
        env.reset(seed=0)
        theirs = np.stack([env.reset()[0] for _ in range(STARTS)])
    assert_same_distribution(ours, theirs)
