"""A planar two-link arm, from Gymnasium's Reacher-v5: bring the fingertip to the target.

The arm moves in the horizontal plane around its base at the origin.
"""

from __future__ import annotations

import math

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import (
    Episodes,
    Field,
    RewardAndTerms,
    Simulator,
    State,
    Task,
    WorldRandom,
    gymnasium_asset,
    register,
)

ANGLE_NOISE = 0.1  # rad: half-width of the uniform noise on the arm's angles
VELOCITY_NOISE = 0.005  # rad/s: half-width of the uniform noise on the arm's velocities
REACH = 0.2  # m: radius of the disc of targets around the base
AT_TARGET = 0.02  # m: the fingertip is at the target within this distance


@register("reacher/reach")
class ReacherReach(Task):
    """Gymnasium's Reacher-v5: 50 steps of 0.02 s, two torques."""

    group = "gymnasium"
    description = (
        "A planar arm of two links, each 0.1 m long and driven at its joint, moves in the horizontal plane. It should "
        "bring its fingertip to a target, which lies somewhere else in every episode, within a second, and stay there."
    )
    fields = (
        Field("joint_angles", (2,), "rad", "shoulder, then elbow; 0, 0 is stretched out along x"),
        Field("joint_velocities", (2,), "rad/s", "rates of change of joint_angles, in the same order"),
        Field("fingertip_position", (2,), "m", "x and y of the fingertip"),
        Field("target_position", (2,), "m", "x and y of the target, at most 0.2 m from the base"),
    )
    frame_skip = 2
    horizon = 50
    fitness_unit = "m"
    fitness_meaning = "minus the mean distance from fingertip to target over the second half of the episode"
    fitness_range = (-math.inf, 0.0)
    success_threshold = -AT_TARGET
    expert_source = "Gymnasium, Reacher-v5: minus the distance to the target, minus the squared action"
    gymnasium_id = "Reacher-v5"

    def make_model(self) -> mujoco.MjModel:
        """Load Gymnasium's ``reacher.xml``."""
        return mujoco.MjModel.from_xml_path(str(gymnasium_asset("reacher.xml")))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Add uniform noise to the arm; draw the target uniformly from a disc of 0.2 m."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        qpos[ids, 0:2] += generator.uniform(-ANGLE_NOISE, ANGLE_NOISE, 2)
        qvel[ids, 0:2] += generator.uniform(-VELOCITY_NOISE, VELOCITY_NOISE, 2)
        # Uniform over the disc. Gymnasium rejects draws from the enclosing square, which has the same distribution.
        radius = REACH * generator.uniform(0.0, 1.0).sqrt()
        angle = generator.uniform(-torch.pi, torch.pi)
        qpos[ids, 2:4] = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=-1)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read the arm's joints and the positions of fingertip and target in the plane."""
        qpos, qvel, xpos = sim.field("qpos"), sim.field("qvel"), sim.field("xpos")
        return {
            "joint_angles": qpos[:, 0:2],
            "joint_velocities": qvel[:, 0:2],
            "fingertip_position": xpos[:, sim.model.body("fingertip").id, 0:2],
            "target_position": xpos[:, sim.model.body("target").id, 0:2],
        }

    def observation(self, state: State) -> Tensor:
        """Return Reacher-v5's observation, ``(n, 10)``: angles as cosine and sine, offset to the target."""
        return torch.cat(
            [
                torch.cos(state.joint_angles),
                torch.sin(state.joint_angles),
                state.target_position,
                state.joint_velocities,
                state.fingertip_position - state.target_position,
            ],
            dim=-1,
        )

    def fitness(self, episode: Episodes) -> Tensor:
        """Return minus the mean distance over the second half of the episode, ``(n,)`` m."""
        away = episode.field("fingertip_position") - episode.field("target_position")
        return -away.norm(dim=-1)[1 + episode.horizon // 2 :].mean(0)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return Reacher-v5's reward: minus the distance to the target and the squared action."""
        distance = -(next_state.fingertip_position - next_state.target_position).norm(dim=-1)
        control = -action.square().sum(-1)
        return distance + control, {"distance": distance, "control": control}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps that end within 0.02 m of the target."""
        distance = (next_state.fingertip_position - next_state.target_position).norm(dim=-1)
        there = (distance <= AT_TARGET).to(action.dtype)
        return there, {"there": there}
