"""The three-segment swimmer of Coulom (2002), from Gymnasium's Swimmer-v5: swim forward.

It moves in the horizontal plane: x forward, y left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

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

RESET_NOISE = 0.1  # m, rad, m/s and rad/s: half-width of the uniform noise on the default pose
CONTROL_COST = 1e-4  # expert reward: per unit of squared action
SWIMMING_SPEED = 0.1  # m/s: success threshold; the best known policies reach about 0.36


@register("swimmer/swim")
class SwimmerSwim(Task):
    """Gymnasium's Swimmer-v5: 1000 steps of 0.04 s, two joint motors; nothing ends an episode early."""

    group = "gymnasium"
    description = (
        "A swimmer of three rigid segments in a row, joined by two driven joints, lies in a viscous fluid. It should "
        "swim forward, in the +x direction, as fast as it can."
    )
    fields = (
        Field("nose_position", (2,), "m", "position of the front segment in the plane: x forward, y left"),
        Field("heading", (), "rad", "direction of the front segment from the x axis, positive to the left"),
        Field("joint_angles", (2,), "rad", "bend between front and middle, between middle and rear segment"),
        Field("nose_velocity", (2,), "m/s", "velocity of the front segment along x and y"),
        Field("heading_rate", (), "rad/s", "rate of change of heading"),
        Field("joint_velocities", (2,), "rad/s", "rates of change of joint_angles, in the same order"),
        Field("centre_position", (2,), "m", "centre of mass of the whole swimmer in the plane: x forward, y left"),
    )
    frame_skip = 4
    horizon = 1000
    # One stroke takes more than a second, and turning around pays off only much later, so the discount must be near 1
    # and advantages must look far ahead, in long rollouts. Measured over 8 seeds at 300,000 steps: 0.25 m/s; with 16
    # worlds, rollouts of 128 and a lambda of 0.98, 0.12 m/s; with the default settings, 0.003 m/s.
    training: ClassVar[Mapping[str, Any]] = {"gamma": 0.9999, "gae_lambda": 0.995, "worlds": 8, "rollout": 256}
    fitness_unit = "m/s"
    fitness_meaning = "mean forward speed of the centre of mass over the whole 40 s"
    success_threshold = SWIMMING_SPEED
    expert_source = "Gymnasium, Swimmer-v5: forward speed minus 0.0001 times the squared action"
    gymnasium_id = "Swimmer-v5"

    def make_model(self) -> mujoco.MjModel:
        """Load Gymnasium's ``swimmer.xml``."""
        return mujoco.MjModel.from_xml_path(str(gymnasium_asset("swimmer.xml")))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Add uniform noise to ``qpos`` and ``qvel``, as Swimmer-v5 does."""
        sim.field("qpos")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 5)
        sim.field("qvel")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 5)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Split ``qpos`` and ``qvel`` into front segment and joints; add the centre of mass."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        return {
            "nose_position": qpos[:, 0:2],
            "heading": qpos[:, 2],
            "joint_angles": qpos[:, 3:5],
            "nose_velocity": qvel[:, 0:2],
            "heading_rate": qvel[:, 2],
            "joint_velocities": qvel[:, 3:5],
            "centre_position": sim.field("subtree_com")[:, 1, 0:2],
        }

    def observation(self, state: State) -> Tensor:
        """Return Swimmer-v5's observation, ``(n, 8)``: no positions in the plane."""
        return torch.cat(
            [
                state.heading[:, None],
                state.joint_angles,
                state.nose_velocity,
                state.heading_rate[:, None],
                state.joint_velocities,
            ],
            dim=-1,
        )

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the distance of the centre of mass along x over the full 40 s, ``(n,)`` m/s."""
        way = episode.last("centre_position")[:, 0] - episode.first("centre_position")[:, 0]
        return way / (episode.horizon * self.control_step)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return Swimmer-v5's reward: forward speed of the front segment minus the control cost."""
        forward = (next_state.nose_position[:, 0] - state.nose_position[:, 0]) / self.control_step
        control = -CONTROL_COST * action.square().sum(-1)
        return forward + control, {"forward": forward, "control": control}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps in which the centre of mass moves at 0.1 m/s or more."""
        # Use the centre of mass: the nose moves forward in half of all steps under any policy.
        speed = (next_state.centre_position[:, 0] - state.centre_position[:, 0]) / self.control_step
        swimming = (speed >= SWIMMING_SPEED).to(action.dtype)
        return swimming, {"swimming": swimming}
