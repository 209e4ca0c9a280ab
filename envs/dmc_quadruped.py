"""dm_control's quadruped: four legs with four hinges and three motors each, driven through tendons.

x is forward, y left, z up.
"""

from __future__ import annotations

import math
from typing import ClassVar

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register, tolerance
from rewardgen.tasks.suite import random_orientation, read_sensor, suite_spec, until_no_contacts

EPISODE = 20.0  # s; scales the floor, as in the suite
STEP_UP = 0.01  # m: the start height is raised by this much until nothing is in contact
TOES = ("toe_front_left", "toe_front_right", "toe_back_right", "toe_back_left")
WALLS = ("wall_px", "wall_py", "wall_nx", "wall_ny")


class Quadruped(SuiteTask):
    """Base of the suite's quadruped tasks: 1000 steps of 0.02 s, twelve motors."""

    fields = (
        Field(
            "joint_angles",
            (16,),
            "rad",
            "yaw and pitch of the hip, knee, ankle of the front left, front right, back right and back left leg",
        ),
        Field("joint_velocities", (16,), "rad/s", "rates of change of joint_angles, in the same order"),
        Field("actuator_states", (12,), "1", "what each motor has come to of what actions asked of it"),
        Field("torso_velocity", (3,), "m/s", "velocity of the torso, torso frame: x forward"),
        Field("torso_upright", (), "1", "cosine of the torso's tilt: 1 upright, -1 on its back"),
        Field("acceleration", (3,), "m/s^2", "acceleration of the torso with gravity's, torso frame"),
        Field("angular_velocity", (3,), "rad/s", "angular velocity of the torso, torso frame"),
        Field("toe_forces", (4, 3), "N", "force between leg and toe, front left, front right, back right, back left"),
        Field("toe_torques", (4, 3), "N m", "torque between leg and toe, in the same order"),
    )
    frame_skip = 4
    expert_source = "dm_control, suite/quadruped.py: how upright the torso is, times its forward speed up to a bound"
    target_speed: ClassVar[float]
    """Forward speed at which the reward saturates, m/s."""

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``quadruped.xml`` without walls, terrain, ball, target and rangefinders."""
        spec = suite_spec("quadruped")
        spec.geom("floor").size = [EPISODE * self.target_speed, EPISODE * self.target_speed, 0.5]
        for geom in [spec.geom(name) for name in (*WALLS, "terrain")]:
            spec.delete(geom)
        spec.delete(spec.hfield("terrain"))
        spec.delete(spec.body("ball"))
        spec.delete(spec.site("target"))
        for sensor in [sensor for sensor in spec.sensors if sensor.name.startswith("rf_")]:
            spec.delete(sensor)
        return spec.compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw a uniform orientation and raise the torso in steps of 0.01 m until nothing is in contact."""
        qpos = sim.field("qpos")
        qpos[ids, 2] = -STEP_UP
        qpos[ids, 3:7] = random_orientation(generator)

        def place(chosen: Tensor) -> None:
            qpos[ids[chosen], 2] += STEP_UP

        until_no_contacts(sim, ids, place)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read joints, activations, and the suite's sensors of the torso and the toes."""
        return {
            "joint_angles": sim.field("qpos")[:, 7:23],
            "joint_velocities": sim.field("qvel")[:, 6:22],
            "actuator_states": sim.field("act"),
            "torso_velocity": read_sensor(sim, "velocimeter"),
            "torso_upright": sim.field("xmat")[:, sim.model.body("torso").id, 8],
            "acceleration": read_sensor(sim, "imu_accel"),
            "angular_velocity": read_sensor(sim, "imu_gyro"),
            "toe_forces": torch.stack([read_sensor(sim, f"force_{toe}") for toe in TOES], dim=1),
            "toe_torques": torch.stack([read_sensor(sim, f"torque_{toe}") for toe in TOES], dim=1),
        }

    def observation(self, state: State) -> Tensor:
        """Return the suite's observation, ``(n, 78)``, with forces and torques through asinh."""
        loads = torch.cat([state.toe_forces.flatten(1), state.toe_torques.flatten(1)], dim=-1)
        return torch.cat(
            [
                state.joint_angles,
                state.joint_velocities,
                state.actuator_states,
                state.torso_velocity,
                state.torso_upright[:, None],
                state.acceleration,
                state.angular_velocity,
                torch.asinh(loads),
            ],
            dim=-1,
        )

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward: uprightness times a linear factor for forward speed, 0.5 at rest."""
        upright = tolerance(next_state.torso_upright, 1.0, math.inf, 2.0, "linear", value_at_margin=0.0)
        speed = tolerance(
            next_state.torso_velocity[:, 0],
            self.target_speed,
            math.inf,
            self.target_speed,
            "linear",
            value_at_margin=0.5,
        )
        moving = upright * speed
        return moving, {"moving": moving}


@register("dmc_quadruped/walk")
class QuadrupedWalk(Quadruped):
    """dm_control's quadruped/walk: 0.5 m/s."""

    description = (
        "A robot with four legs, each moved by three motors, falls to flat ground in any orientation. It should get on "
        "its feet and walk forward, in the direction in which its torso points, at 0.5 m/s."
    )
    success_threshold = 800.0  # chosen by hand: standing still and upright scores 500
    target_speed = 0.5


@register("dmc_quadruped/run")
class QuadrupedRun(Quadruped):
    """dm_control's quadruped/run: 5 m/s."""

    description = (
        "A robot with four legs, each moved by three motors, falls to flat ground in any orientation. It should get on "
        "its feet and run forward, in the direction in which its torso points, as fast as it can."
    )
    success_threshold = 650.0  # chosen by hand: 1.5 m/s on average; standing still and upright scores 500
    target_speed = 5.0
