"""Each task on a Gymnasium model against that environment itself: same states, same actions, every step compared.

The simulations are the same in every bit, so that what is left is our float32 states: a relative 2**-24 in what the
policy sees, and twice that, divided by the control step, in speeds taken from positions.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import gymnasium
import mujoco
import numpy as np
import pytest
import torch

from rewardgen.records import State
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, WorldRandom, Worlds, load_task
from tests.ours import MATCHED, loaded
from tests.sampling import few

STEPS = {0: 1000, 1: 250, 2: 250}  # by seed: a whole episode of the longest horizon, and more starts
OBSERVATION_TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}
RESETS = 3000
RESETS_OF_HUMANOIDS = 800  # each takes Gymnasium milliseconds
AT_ONCE = 200  # what MuJoCo reserves for thousands of ants is more address space than a process may have and still fork


def make(task: Task) -> gymnasium.Env:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*settotalmass.*")
        return gymnasium.make(task.gymnasium_id)


@pytest.fixture(params=few(MATCHED, 2))
def task(request: pytest.FixtureRequest) -> Task:
    return loaded(request.param)


@pytest.fixture
def reference(task: Task) -> Iterator[gymnasium.Env]:
    env = make(task)
    yield env
    env.close()


def start(env: gymnasium.Env, seed: int | None = None) -> np.ndarray:
    """Begin an episode and give its first observation.

    Gymnasium computes contact forces in ``step`` alone: at a start it shows zeros for them, where ours are those of the
    start itself. Only a body that starts lying on the ground has any.
    """
    shown, _ = env.reset(seed=seed)
    raw = env.unwrapped
    mujoco.mj_rnePostConstraint(raw.model, raw.data)
    current = raw._get_obs()
    if env.spec.id != "HumanoidStandup-v5":
        np.testing.assert_array_equal(shown, current)
    return current


@dataclass
class Twin:
    """One world of ours, put into the states of a Gymnasium environment."""

    task: Task
    env: gymnasium.Env

    def __post_init__(self) -> None:
        self.sim = MujocoSim(self.task.model, 1, threads=1)

    def copy_state(self) -> None:
        world, data = torch.tensor([0]), self.env.unwrapped.data
        self.sim.reset(world)
        self.sim.field("qpos")[0] = torch.from_numpy(data.qpos)
        self.sim.field("qvel")[0] = torch.from_numpy(data.qvel)
        self.sim.forward(world)

    def state(self) -> State:
        layout = self.task.layout
        return State(layout, layout.pack(self.task.state(self.sim), torch.empty(1, layout.width)))

    def observation(self) -> np.ndarray:
        return self.task.observation(self.state())[0].numpy()


@pytest.mark.parametrize("seed", STEPS)
def test_every_step_matches(task: Task, reference: gymnasium.Env, seed: int) -> None:
    rng = np.random.default_rng(seed)
    twin = Twin(task, reference)
    low, high = reference.action_space.low, reference.action_space.high
    observation = start(reference, seed)
    twin.copy_state()
    np.testing.assert_allclose(twin.observation(), observation, **OBSERVATION_TOLERANCE)
    ends, age, action = 0, 0, low
    for step in range(STEPS[seed]):
        if step % 4 == 0 or rng.random() < 0.3:  # held for a while, so that it gets somewhere
            action = rng.uniform(low, high).astype(np.float32)
        before = twin.state()
        observation, reward, terminated, truncated, _ = reference.step(action)
        ours = torch.from_numpy(action)[None]
        twin.sim.step(task.clip(ours), task.frame_skip)
        after = twin.state()
        age += 1

        np.testing.assert_allclose(twin.observation(), observation, **OBSERVATION_TOLERANCE, err_msg=f"step {step}")
        assert bool(task.terminated(after)) == terminated, f"step {step}"
        assert (age >= task.horizon) == truncated
        total, terms = task.expert_reward(before, ours, after)
        furthest = max(1.0, float(np.abs(reference.unwrapped.data.qpos[:2]).max()))
        tolerance = 1e-5 + 2 * 2**-24 * furthest / task.control_step
        np.testing.assert_allclose(float(total), reward, rtol=1e-6, atol=tolerance, err_msg=f"step {step}")
        np.testing.assert_allclose(float(sum(terms.values())), float(total), rtol=1e-5, atol=1e-5)

        if terminated or truncated:
            ends += 1
            age = 0
            observation = start(reference)
            twin.copy_state()
            np.testing.assert_allclose(twin.observation(), observation, **OBSERVATION_TOLERANCE)
    if task.terminations(after) or task.horizon < STEPS[seed] // 2:
        assert ends >= 2 or task.name == "ant/run"  # which random actions seldom throw over: see below


def test_ant_ends_where_gymnasium_says() -> None:
    """Random actions seldom end an ant's episode: lift it and press it down by hand."""
    task = load_task("ant/run")
    env = make(task)
    twin = Twin(task, env)
    env.reset(seed=0)
    qpos, qvel = env.unwrapped.data.qpos.copy(), env.unwrapped.data.qvel.copy()
    for height, cause in ((1.01, "torso too high"), (0.99, None), (0.21, None), (0.19, "torso too low")):
        qpos[2] = height
        env.unwrapped.set_state(qpos, qvel)
        twin.copy_state()
        assert bool(task.terminated(twin.state())) == (not env.unwrapped.is_healthy)
        assert [name for name, held in task.terminations(twin.state()).items() if held] == ([cause] if cause else [])
    env.close()


def test_the_frame_is_the_same(task: Task, reference: gymnasium.Env) -> None:
    raw = reference.unwrapped
    assert task.frame_skip == raw.frame_skip
    assert task.control_step == pytest.approx(raw.dt, rel=1e-12)
    assert task.horizon == reference.spec.max_episode_steps
    assert task.observation_size == reference.observation_space.shape[0]
    np.testing.assert_array_equal(task.action_low.numpy(), reference.action_space.low)
    np.testing.assert_array_equal(task.action_high.numpy(), reference.action_space.high)


def test_the_model_is_the_same(task: Task, reference: gymnasium.Env) -> None:
    for name in ("body_mass", "body_inertia", "dof_damping", "dof_armature", "geom_size", "geom_friction", "qpos0"):
        np.testing.assert_array_equal(getattr(task.model, name), getattr(reference.unwrapped.model, name), err_msg=name)


def test_resets_have_the_same_distribution(task: Task, reference: gymnasium.Env) -> None:
    resets = RESETS_OF_HUMANOIDS if task.name.startswith("humanoid/") else RESETS
    sim = MujocoSim(task.model, AT_ONCE, threads=1)
    drawn = []
    for streams in torch.arange(resets).split(AT_ONCE):
        Worlds(task, sim, streams).start()
        drawn.append(torch.cat([sim.field("qpos"), sim.field("qvel")], dim=-1))
    ours = torch.cat(drawn).numpy()
    reference.reset(seed=0)
    theirs = np.empty_like(ours)
    for row in theirs:
        reference.unwrapped.reset_model()
        row[:] = np.concatenate([reference.unwrapped.data.qpos, reference.unwrapped.data.qvel])

    spread = theirs.std(0)
    error = 6 * spread / np.sqrt(resets)  # of a mean; two such samples differ by less than 6 / sqrt(2) deviations
    assert (np.abs(ours.mean(0) - theirs.mean(0)) <= error + 1e-12).all()
    assert (np.abs(ours.std(0) - spread) <= error + 1e-12).all()
    for share in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
        bound = 0.25 if share in (0.0, 1.0) else 0.15  # in deviations; the extremes of a normal spread further
        bound *= np.sqrt(RESETS / resets)
        bound = (
            1.5 if share in (0.0, 1.0) and task.name in ("cheetah/run", "ant/run", "double_pendulum/balance") else bound
        )
        difference = np.abs(np.quantile(ours, share, axis=0) - np.quantile(theirs, share, axis=0))
        assert (difference <= bound * spread + 1e-12).all(), f"quantile {share}"
    together = np.corrcoef(ours.T[spread > 0])
    assert np.abs(together - np.eye(len(together))).max() < 6 / np.sqrt(resets)


def test_reacher_targets_fill_the_disc_evenly() -> None:
    task = load_task("reacher/reach")
    sim = MujocoSim(task.model, RESETS, threads=1)
    everyone = torch.arange(RESETS)
    task.reset(sim, everyone, WorldRandom(everyone, torch.zeros_like(everyone)))
    radius = sim.field("qpos")[:, 2:4].norm(dim=-1)
    assert radius.max() <= 0.2
    assert ((radius / 0.2) ** 2).mean().item() == pytest.approx(0.5, abs=0.03)
