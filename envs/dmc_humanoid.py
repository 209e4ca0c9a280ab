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

STAND_HEIGHT = 1.4  # m: of the head
UPRIGHT = 0.9  # cosine of the torso's tilt from which on it counts as fully upright
DRIFT = 2.0  # m/s: standing, a horizontal speed of this is worth a tenth
EXTREMITIES = ("left_hand", "left_foot", "right_hand", "right_foot")


class Humanoid(SuiteTask):
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
    """The horizontal speed beyond which no more is paid, m/s; 0: standing still."""

    def make_model(self) -> mujoco.MjModel:
        return suite_spec("humanoid").compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        qpos = sim.field("qpos")

        def place(chosen: Tensor) -> None:
            columns, values = random_joints(sim.model, generator)
            turned = generator.uniform(0.0, 1.0, 4)  # the suite draws from the positive numbers alone here
            turned = turned / turned.norm(dim=-1, keepdim=True)
            rows = ids[chosen][:, None]
            qpos[rows, columns] = values[chosen]
            qpos[rows, [3, 4, 5, 6]] = turned[chosen]

        until_no_contacts(sim, ids, place)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
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
class HumanoidStand(Humanoid):
    description = (
        "A humanoid with 21 driven joints falls to flat ground in a random pose. It should stand up, its head at the "
        "height of standing and its torso upright, and stand still with little effort."
    )
    success_threshold = 500.0  # judged: standing for more than half of the episode
    target_speed = 0.0


@register("dmc_humanoid/walk")
class HumanoidWalk(Humanoid):
    description = (
        "A humanoid with 21 driven joints falls to flat ground in a random pose. It should stand up and walk upright "
        "at 1 m/s, in any horizontal direction, with little effort."
    )
    success_threshold = 500.0  # judged: walking for more than half of the episode
    target_speed = 1.0


@register("dmc_humanoid/run")
class HumanoidRun(Humanoid):
    description = (
        "A humanoid with 21 driven joints falls to flat ground in a random pose. It should stand up and run upright as "
        "fast as it can, in any horizontal direction, with little effort."
    )
    success_threshold = 200.0  # judged: standing alone earns 165
    target_speed = 10.0
