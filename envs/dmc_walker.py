"""dm_control's planar walker with two legs, after Lillicrap et al. (2015).

x is forward, z up.
"""

from __future__ import annotations

import math
from typing import ClassVar

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register, tolerance
from rewardgen.tasks.suite import random_joints, read_sensor, suite_spec

STAND_HEIGHT = 1.2  # m: torso height from which the height factor is 1


class Walker(SuiteTask):
    """Base of the suite's walker tasks: 1000 steps of 0.025 s, six joint motors."""

    fields = (
        Field(
            "orientations",
            (7, 2),
            "1",
            "cosine and sine of the forward lean of torso, right thigh, leg and foot, left thigh, leg and foot",
        ),
        Field("torso_height", (), "m", "height of the torso's middle above the ground, 1.3 standing straight"),
        Field("torso_velocity", (2,), "m/s", "velocity of the torso along x and z"),
        Field("pitch_rate", (), "rad/s", "rate of the torso's lean, positive forward"),
        Field("joint_velocities", (6,), "rad/s", "rates of right hip, knee and ankle, left hip, knee and ankle"),
        Field("forward_speed", (), "m/s", "velocity along x of the centre of mass of the whole body"),
    )
    frame_skip = 10
    expert_source = (
        "dm_control, suite/walker.py: 3/4 for the torso's height and 1/4 for being upright, times a factor for forward "
        "speed where a speed is asked for"
    )
    target_speed: ClassVar[float]
    """Forward speed at which the reward saturates, m/s; 0: stand."""

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``walker.xml``."""
        return suite_spec("walker").compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw pitch and joint angles uniformly, the joints within their limits, at rest."""
        columns, values = random_joints(sim.model, generator)
        qpos = sim.field("qpos")
        qpos[ids[:, None], columns] = values

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read the links' orientations from ``xmat``, the torso's height, and velocities."""
        qvel, frames = sim.field("qvel"), sim.field("xmat")
        return {
            "orientations": frames[:, 1:, [0, 2]],
            "torso_height": sim.field("xpos")[:, sim.model.body("torso").id, 2],
            "torso_velocity": qvel[:, [1, 0]],
            "pitch_rate": qvel[:, 2],
            "joint_velocities": qvel[:, 3:9],
            "forward_speed": read_sensor(sim, "torso_subtreelinvel")[:, 0],
        }

    def observation(self, state: State) -> Tensor:
        """Return the suite's observation, ``(n, 24)``: everything but the forward speed."""
        return torch.cat(
            [
                state.orientations.flatten(1),
                state.torso_height[:, None],
                state.torso_velocity[:, [1, 0]],
                state.pitch_rate[:, None],
                state.joint_velocities,
            ],
            dim=-1,
        )

    def standing_share(self, next_state: State) -> Tensor:
        """Return the standing part of the reward, ``(n,)`` from 0 to 1: 3/4 height, 1/4 uprightness."""
        high = tolerance(next_state.torso_height, STAND_HEIGHT, math.inf, margin=STAND_HEIGHT / 2.0)
        upright = (1.0 + next_state.orientations[:, 0, 0]) / 2.0
        return (3.0 * high + upright) / 4.0

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward: standing, times a factor from 1/6 to 1 for forward speed."""
        speed = tolerance(
            next_state.forward_speed,
            self.target_speed,
            math.inf,
            self.target_speed / 2.0,
            "linear",
            value_at_margin=0.5,
        )
        moving = self.standing_share(next_state) * (5.0 * speed + 1.0) / 6.0
        return moving, {"moving": moving}


@register("dmc_walker/stand")
class WalkerStand(Walker):
    """dm_control's walker/stand."""

    description = (
        "A planar robot with two legs and six driven joints falls to flat ground in a random pose. It should stand up "
        "with its torso high and upright, and stay so."
    )
    success_threshold = 900.0  # chosen by hand: standing within the first seconds of 25
    target_speed = 0.0

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward for standing: torso height and uprightness, without a speed."""
        standing = self.standing_share(next_state)
        return standing, {"standing": standing}


@register("dmc_walker/walk")
class WalkerWalk(Walker):
    """dm_control's walker/walk: 1 m/s."""

    description = (
        "A planar robot with two legs and six driven joints falls to flat ground in a random pose. It should stand up "
        "and walk forward, in the +x direction, upright and at 1 m/s."
    )
    success_threshold = 800.0  # chosen by hand: walking for all but the first seconds
    target_speed = 1.0


@register("dmc_walker/run")
class SuiteWalkerRun(Walker):
    """dm_control's walker/run: 8 m/s."""

    description = (
        "A planar robot with two legs and six driven joints falls to flat ground in a random pose. It should stand up "
        "and run forward, in the +x direction, upright and as fast as it can."
    )
    success_threshold = 400.0  # chosen by hand: 3 m/s on average; standing still scores 167
    target_speed = 8.0
