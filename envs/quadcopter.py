"""Isaac Gym's Quadcopter with tilting rotors: fly to a target and hover there.

World frame: z up; the target is 1 m above the origin. Isaac Gym: Makoviychuk et al. (2021). Eureka (Ma et al., 2024)
uses this task; its fitness is minus the distance at the end of an episode.
"""

from __future__ import annotations

import math
from pathlib import Path

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Episodes, Field, RewardAndTerms, Simulator, State, Task, WorldRandom, register

MODEL = Path(__file__).parent / "assets" / "quadcopter.xml"
START_ASIDE = 1.5  # m: half-width of the square of start positions
START_RISE = (-0.2, 1.5)  # m: range of the start height relative to the target
TILT_NOISE = 0.2  # rad: half-width of the uniform start distribution of the rotor tilts
TARGET_HEIGHT = 1.0  # m above the origin
FURTHEST = 3.0  # m: terminates when further from the target
LOWEST = 0.3  # m: terminates when lower
HOVERING = 0.1  # m: success threshold of the distance, half the quadcopter's width
TILTS = 8  # pitch and roll of each of four rotors


@register("quadcopter/hover")
class QuadcopterHover(Task):
    """Isaac Gym's Quadcopter in 500 steps of 0.01 s; actions are rates of 8 tilts (rad/s) and 4 thrusts (N/s)."""

    group = "eureka"
    description = (
        "A quadcopter of 0.25 kg has four rotors; each pushes with up to 2 N and tilts by up to 0.52 rad in two "
        "directions. It should fly to the place 1 m above the origin and hover there. The episode ends when it is "
        "more than 3 m from that place or less than 0.3 m above the ground."
    )
    fields = (
        Field("position", (3,), "m", "centre of the chassis, world frame"),
        Field("to_target", (3,), "m", "vector from there to the place where it should hover, world frame"),
        Field("orientation", (4,), "1", "orientation of the chassis, a unit quaternion w, x, y, z"),
        Field("velocity", (3,), "m/s", "linear velocity, world frame"),
        Field("angular_velocity", (3,), "rad/s", "angular velocity, in its own frame"),
        Field("rotor_tilts", (8,), "rad", "pitch, then roll of each of the four rotors"),
        Field("rotor_thrusts", (4,), "N", "the push of each rotor, from 0 to 2"),
    )
    frame_skip = 2
    horizon = 500
    fitness_unit = "m"
    fitness_meaning = "minus the distance from the place where an episode ends, after 5 s or by a crash"
    fitness_range = (-math.inf, 0.0)
    success_threshold = -HOVERING
    expert_source = (
        "Isaac Gym, Quadcopter: 1 / (1 + squared distance), times 1 plus like terms for being upright and for not "
        "spinning"
    )

    def make_model(self) -> mujoco.MjModel:
        """Load ``quadcopter.xml``, which has the dimensions of Isaac Gym's."""
        return mujoco.MjModel.from_xml_path(str(MODEL))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw position and rotor tilts uniformly; the servo activations start at the same tilts."""
        qpos, act = sim.field("qpos"), sim.field("act")
        qpos[ids, 0:2] += generator.uniform(-START_ASIDE, START_ASIDE, 2)
        qpos[ids, 2] += generator.uniform(*START_RISE)
        tilts = generator.uniform(-TILT_NOISE, TILT_NOISE, TILTS)
        qpos[ids, 7:15] = tilts
        act[ids, 0:8] = tilts  # the servos' activations hold the tilts

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read the chassis from ``qpos`` and ``qvel``, tilts from ``qpos``, thrusts from the activations."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        position = qpos[:, 0:3]
        return {
            "position": position,
            "to_target": position.new_tensor([0.0, 0.0, TARGET_HEIGHT]) - position,
            "orientation": qpos[:, 3:7],
            "velocity": qvel[:, 0:3],
            "angular_velocity": qvel[:, 3:6],
            "rotor_tilts": qpos[:, 7:15],
            "rotor_thrusts": sim.field("act")[:, 8:12],
        }

    def observation(self, state: State) -> Tensor:
        """Return all fields but the absolute position, ``(n, 25)``."""
        motion = [state.to_target, state.orientation, state.velocity, state.angular_velocity]
        return torch.cat([*motion, state.rotor_tilts, state.rotor_thrusts], dim=-1)

    def terminations(self, state: State) -> dict[str, Tensor]:
        """End the episode more than 3 m from the target or below 0.3 m."""
        return {
            "flew away": state.to_target.norm(dim=-1) > FURTHEST,
            "came too low": state.position[:, 2] < LOWEST,
        }

    def fitness(self, episode: Episodes) -> Tensor:
        """Return minus the distance to the target in the last state, ``(n,)`` m."""
        return -episode.last("to_target").norm(dim=-1)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return Isaac Gym's reward: closeness, times 1 plus terms for uprightness and slow yaw."""
        near = 1.0 / (1.0 + next_state.to_target.square().sum(-1))
        tilt = 2.0 * next_state.orientation[:, 1:3].square().sum(-1)  # equals 1 - cos(tilt)
        upright = near / (1.0 + tilt.square())
        # Isaac Gym uses the world frame; near upright, where the factor matters, both agree.
        calm = near / (1.0 + next_state.angular_velocity[:, 2].square())
        return near + upright + calm, {"near": near, "upright": upright, "calm": calm}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps that end within 0.1 m of the target."""
        hovering = (next_state.to_target.norm(dim=-1) <= HOVERING).to(action.dtype)
        return hovering, {"hovering": hovering}
