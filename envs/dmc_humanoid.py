"""dm_control's humanoid, after Tassa, Erez and Todorov (2012).

x is forward, y left, z up.
"""

from __future__ import annotations

import math
from typing import ClassVar

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register, tolerance
from rewardgen.tasks.suite import random_joints, read_sensor, small_control, suite_spec, until_no_contacts

STAND_HEIGHT = 1.4  # m: head height from which the reward's height factor is 1
UPRIGHT = 0.9  # cosine of the torso's tilt from which the uprightness factor is 1
DRIFT = 2.0  # m/s: stand: margin of the horizontal velocity; at this speed its factor is 0.1
EXTREMITIES = ("left_hand", "left_foot", "right_hand", "right_foot")


class SuiteHumanoid(SuiteTask):
    """Base of the suite's humanoid tasks: 1000 steps of 0.025 s, 21 joint motors."""

    fields = (
        Field(
            "joint_angles",
            (21,),
            "rad",
            "abdomen z, y, x; right hip x, z, y, knee, ankle y, x; the same of the left leg; right shoulder 1, 2, "
            "elbow; the same of the left arm",
        ),
        Field("head_height", (), "m", "height of the head above the ground, 1.69 standing straight"),
        Field("extremities", (4, 3), "m", "left hand, left foot, right hand, right foot from the torso, torso frame"),
        Field("torso_vertical", (3,), "1", "the world's up direction in the torso's frame: (0, 0, 1) upright"),
        Field("com_velocity", (3,), "m/s", "velocity of the centre of mass of the whole body, world frame"),
        Field("torso_velocity", (3,), "m/s", "velocity of the torso, world frame"),
        Field("torso_angular_velocity", (3,), "rad/s", "angular velocity of the torso, torso frame"),
        Field("joint_velocities", (21,), "rad/s", "rates of change of joint_angles, in the same order"),
    )
    frame_skip = 5
    expert_source = (
        "dm_control, suite/humanoid.py: the product of factors for a high head, an upright torso, small actions, and "
        "the horizontal speed that is asked for"
    )
    target_speed: ClassVar[float]
    """Horizontal speed at which the reward saturates, m/s; 0: stand still."""

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``humanoid.xml``."""
        return suite_spec("humanoid").compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw joint angles and an orientation until nothing is in contact, at rest."""
        qpos = sim.field("qpos")

        def place(chosen: Tensor) -> None:
            columns, values = random_joints(sim.model, generator)
            turned = generator.uniform(0.0, 1.0, 4)  # from 0 to 1 only, as in the suite: not uniform over orientations
            turned = turned / turned.norm(dim=-1, keepdim=True)
            rows = ids[chosen][:, None]
            qpos[rows, columns] = values[chosen]
            qpos[rows, [3, 4, 5, 6]] = turned[chosen]

        until_no_contacts(sim, ids, place)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read joints, head height, hands and feet in the torso's frame, and velocities."""
        model, qvel, places = sim.model, sim.field("qvel"), sim.field("xpos")
        torso = model.body("torso").id
        frame = sim.field("xmat")[:, torso].unflatten(-1, (3, 3))
        limbs = places[:, [model.body(name).id for name in EXTREMITIES]] - places[:, torso, None]
        return {
            "joint_angles": sim.field("qpos")[:, 7:28],
            "head_height": places[:, model.body("head").id, 2],
            "extremities": limbs @ frame,
            "torso_vertical": frame[:, 2],
            "com_velocity": read_sensor(sim, "torso_subtreelinvel"),
            "torso_velocity": qvel[:, 0:3],
            "torso_angular_velocity": qvel[:, 3:6],
            "joint_velocities": qvel[:, 6:27],
        }

    def observation(self, state: State) -> Tensor:
        """Return the suite's observation, ``(n, 67)``."""
        return torch.cat(
            [
                state.joint_angles,
                state.head_height[:, None],
                state.extremities.flatten(1),
                state.torso_vertical,
                state.com_velocity,
                state.torso_velocity,
                state.torso_angular_velocity,
                state.joint_velocities,
            ],
            dim=-1,
        )

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward: the product of head height, uprightness, small actions and speed.

        With ``target_speed`` 0 the speed factor rewards standing still, otherwise moving at that speed in any
        direction.
        """
        high = tolerance(next_state.head_height, STAND_HEIGHT, math.inf, margin=STAND_HEIGHT / 4.0)
        upright = tolerance(
            next_state.torso_vertical[:, 2], UPRIGHT, math.inf, 1.0 + UPRIGHT, "linear", value_at_margin=0.0
        )
        gentle = (4.0 + small_control(action).mean(-1)) / 5.0
        horizontal = next_state.com_velocity[:, 0:2]
        if self.target_speed == 0.0:
            moving = tolerance(horizontal, margin=DRIFT).mean(-1)
        else:
            speed = tolerance(
                horizontal.norm(dim=-1), self.target_speed, math.inf, self.target_speed, "linear", value_at_margin=0.0
            )
            moving = (5.0 * speed + 1.0) / 6.0
        total = gentle * high * upright * moving
        return total, {"stand" if self.target_speed == 0.0 else "move": total}


@register("dmc_humanoid/stand")
class HumanoidStand(SuiteHumanoid):
    """dm_control's humanoid/stand."""

    description = (
        "A humanoid with 21 driven joints falls to flat ground in a random pose. It should stand up, its head at the "
        "height of standing and its torso upright, and stand still with little effort."
    )
    success_threshold = 500.0  # chosen by hand: standing for more than half of the episode
    target_speed = 0.0


@register("dmc_humanoid/walk")
class HumanoidWalk(SuiteHumanoid):
    """dm_control's humanoid/walk: 1 m/s."""

    description = (
        "A humanoid with 21 driven joints falls to flat ground in a random pose. It should stand up and walk upright "
        "at 1 m/s, in any horizontal direction, with little effort."
    )
    success_threshold = 500.0  # chosen by hand: walking for more than half of the episode
    target_speed = 1.0


@register("dmc_humanoid/run")
class SuiteHumanoidRun(SuiteHumanoid):
    """dm_control's humanoid/run: 10 m/s."""

    description = (
        "A humanoid with 21 driven joints falls to flat ground in a random pose. It should stand up and run upright as "
        "fast as it can, in any horizontal direction, with little effort."
    )
    success_threshold = 200.0  # chosen by hand: standing alone scores 165
    target_speed = 10.0
