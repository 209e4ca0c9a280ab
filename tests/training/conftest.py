"""A task small enough to train on within seconds: a point on a rail that should come to the middle."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import pytest
import torch
from torch import Tensor

from rewardgen.config import TrainingConfig
from rewardgen.records import Labels
from rewardgen.tasks import Episodes, Field, RewardAndTerms, Simulator, State, Task, WorldRandom
from rewardgen.training import Member, TaskReward

MODEL = """
<mujoco>
  <option timestep="0.1"/>
  <worldbody>
    <body>
      <joint name="rail" type="slide" axis="1 0 0" damping="0.5"/>
      <geom type="sphere" size="0.1" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor joint="rail" ctrllimited="true" ctrlrange="-1 3"/></actuator>
</mujoco>
"""


class Point(Task):
    """Ends where it leaves the rail (|x| > 1.5 m); actuator units are off centre on purpose."""

    name = "test/point"
    description = "Come to the middle."
    fields = (
        Field("position", (), "m", "place on the rail"),
        Field("velocity", (), "m/s", "speed along it"),
    )
    frame_skip = 1
    horizon = 20
    fitness_unit = "m"
    fitness_meaning = "minus the mean distance from the middle"
    success_threshold = -0.3
    expert_source = "this test"

    def make_model(self) -> mujoco.MjModel:
        return mujoco.MjModel.from_xml_string(MODEL)

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        sim.field("qpos")[ids] = generator.uniform(-1.0, 1.0, 1)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        return {"position": sim.field("qpos")[:, 0], "velocity": sim.field("qvel")[:, 0]}

    def observation(self, state: State) -> Tensor:
        return torch.stack([state.position, state.velocity], -1)

    def terminations(self, state: State) -> dict[str, Tensor]:
        return {"left the rail": state.position.abs() > 1.5}

    def fitness(self, episode: Episodes) -> Tensor:
        return -(episode.field("position")[1:].abs().clamp(max=1.5)).mean(0)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        near = 1.0 - next_state.position.abs()
        effort = -0.01 * action.square().sum(-1)
        return near + effort, {"near": near, "effort": effort}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        there = (next_state.position.abs() < 0.1).float()
        return there, {"there": there}


@pytest.fixture(scope="session")
def task() -> Task:
    return Point()


@pytest.fixture
def config() -> TrainingConfig:
    return TrainingConfig(
        steps=1024,
        worlds=16,
        rollout=16,
        epochs=2,
        minibatches=4,
        hidden=(16, 16),
        checkpoints=2,
        checkpoint_episodes=4,
        score_episodes=0,
    )


@pytest.fixture
def member(task: Task) -> Callable[[int], Member]:
    """A member with the task's own reward; all of them share it."""
    reward = TaskReward(task.expert_reward, task.layout)
    return lambda seed: Member("expert", seed, reward)


class CountedReward:
    """A reward that is ``-|position|`` until call ``fails_at``, when it does what ``failure`` says."""

    def __init__(self, fails_at: int | None = None, failure: Callable[[], Labels] | None = None) -> None:
        self.calls: list[int] = []
        self._fails_at, self._failure = fails_at, failure
        self._next: Tensor = torch.zeros(0)

    def submit(self, states: Tensor, actions: Tensor, next_states: Tensor) -> None:
        assert len(states) == len(actions) == len(next_states)
        self.calls.append(len(states))
        self._next = next_states

    def result(self) -> Labels:
        if self._fails_at is not None and len(self.calls) > self._fails_at and self._failure is not None:
            return self._failure()
        near = -self._next[:, 0].abs()
        return Labels(near, near[:, None], ("near",))


@pytest.fixture
def counted_reward() -> type[CountedReward]:
    return CountedReward
