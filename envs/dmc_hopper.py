"""dm_control's planar hopper with one leg, after Lillicrap et al. (2015).

x is forward, z up; positive pitch leans forward.
"""

from __future__ import annotations

import math

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register, tolerance
from rewardgen.tasks.suite import random_joints, read_sensor, small_control, suite_spec

STAND_HEIGHT = 0.6  # m: smallest height of the torso over the foot that counts as standing
HIGHEST = 2.0  # m: largest height that counts as standing
HOP_SPEED = 2.0  # m/s: speed at which the reward saturates


class SuiteHopper(SuiteTask):
    """Base of the suite's hopper tasks: 1000 steps of 0.02 s, four joint motors."""

    fields = (
        Field("torso_position", (2,), "m", "position of the torso: x forward, z relative to a height of 1 m"),
        Field("torso_pitch", (), "rad", "lean of the torso in the plane, 0 upright, positive forward"),
        Field("joint_angles", (4,), "rad", "waist, hip, knee, ankle"),
        Field("torso_velocity", (2,), "m/s", "velocity of the torso along x and z"),
        Field("pitch_rate", (), "rad/s", "rate of change of torso_pitch"),
        Field("joint_velocities", (4,), "rad/s", "rates of change of joint_angles, in the same order"),
        Field("touch", (2,), "N", "pressure under the toe and under the heel"),
        Field("height_over_foot", (), "m", "height of the torso's centre of mass over the foot's"),
        Field("forward_speed", (), "m/s", "velocity along x of the centre of mass of the whole body"),
    )
    frame_skip = 4

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``hopper.xml``."""
        return suite_spec("hopper").compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw pitch and joint angles uniformly, the joints within their limits, at rest."""
        columns, values = random_joints(sim.model, generator)
        qpos = sim.field("qpos")
        qpos[ids[:, None], columns] = values

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Split ``qpos`` and ``qvel`` into torso and joints; touch and speed are the suite's sensors."""
        qpos, qvel, heights = sim.field("qpos"), sim.field("qvel"), sim.field("xipos")[:, :, 2]
        return {
            "torso_position": qpos[:, 0:2],
            "torso_pitch": qpos[:, 2],
            "joint_angles": qpos[:, 3:7],
            "torso_velocity": qvel[:, 0:2],
            "pitch_rate": qvel[:, 2],
            "joint_velocities": qvel[:, 3:7],
            "touch": torch.cat([read_sensor(sim, "touch_toe"), read_sensor(sim, "touch_heel")], dim=-1),
            "height_over_foot": heights[:, sim.model.body("torso").id] - heights[:, sim.model.body("foot").id],
            "forward_speed": read_sensor(sim, "torso_subtreelinvel")[:, 0],
        }

    def observation(self, state: State) -> Tensor:
        """Return the suite's observation, ``(n, 15)``, with touch forces f as log(1 + f)."""
        return torch.cat(
            [
                state.torso_position[:, 1:],
                state.torso_pitch[:, None],
                state.joint_angles,
                state.torso_velocity,
                state.pitch_rate[:, None],
                state.joint_velocities,
                torch.log1p(state.touch),
            ],
            dim=-1,
        )


@register("dmc_hopper/stand")
class HopperStand(SuiteHopper):
    """dm_control's hopper/stand."""

    description = (
        "A planar robot with a single leg and four driven joints (waist, hip, knee, ankle) falls to flat ground in a "
        "random pose. It should stand up, its torso well above its foot, and stay so with little effort."
    )
    success_threshold = 700.0  # chosen by hand: up within the first quarter, then standing
    expert_source = "dm_control, suite/hopper.py, stand: 1 with the torso high over the foot, less for large actions"

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward: 1 with the torso high, times 0.8 to 1 for small actions."""
        high = tolerance(next_state.height_over_foot, STAND_HEIGHT, HIGHEST)
        standing = high * (small_control(action).mean(-1) + 4.0) / 5.0
        return standing, {"standing": standing}


@register("dmc_hopper/hop")
class HopperHop(SuiteHopper):
    """dm_control's hopper/hop."""

    description = (
        "A planar robot with a single leg and four driven joints (waist, hip, knee, ankle) falls to flat ground in a "
        "random pose. It should get up and hop forward, in the +x direction, fast and with its torso well above its "
        "foot."
    )
    success_threshold = 150.0  # chosen by hand: steady hops; getting up, and flight with the leg drawn in, score 0
    expert_source = "dm_control, suite/hopper.py, hop: forward speed over 2 m/s while the torso is high over the foot"

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward: 1 with the torso high, times a linear factor for speed up to 2 m/s."""
        high = tolerance(next_state.height_over_foot, STAND_HEIGHT, HIGHEST)
        speed = tolerance(next_state.forward_speed, HOP_SPEED, math.inf, HOP_SPEED / 2.0, "linear", value_at_margin=0.5)
        hopping = high * speed
        return hopping, {"hopping": hopping}
