"""The four-legged ant of Schulman et al. (2016), as Gymnasium's Ant-v5 has it: run forward.

World frame: x forward, z up.
"""

from __future__ import annotations

import mujoco
import torch
from torch import Tensor

from rewardgen.sim import compute_post_constraint
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

RESET_NOISE = 0.1  # m and rad: half the width of the uniform; m/s and rad/s: standard deviation
TORSO_HEIGHTS = (0.2, 1.0)  # m: an episode ends when the torso leaves this range
CONTACT_LIMIT = 1.0  # N and N m: contact forces are clipped to this
ALIVE_BONUS = 1.0  # of the expert reward, for each step that does not end the episode
CONTROL_COST = 0.5  # of the expert reward, per unit of squared action
CONTACT_COST = 5e-4  # of the expert reward, per unit of squared clipped contact force
RUNNING_SPEED = 1.5  # m/s: what counts as running; the best policies known reach about 6


@register("ant/run")
class AntRun(Task):
    group = "gymnasium"
    description = (
        "A four-legged robot with eight driven joints (a hip and an ankle for each leg) stands on flat ground. It "
        "should run forward, in the +x direction, as fast as it can; the episode ends when its torso leaves the "
        "heights from 0.2 m to 1 m."
    )
    fields = (
        Field("torso_position", (3,), "m", "position of the torso, world frame: x forward, y left, z up"),
        Field("torso_orientation", (4,), "1", "orientation of the torso, a unit quaternion w, x, y, z"),
        Field("joint_angles", (8,), "rad", "hip and ankle of the front left, front right, back left, back right leg"),
        Field("torso_velocity", (3,), "m/s", "linear velocity of the torso, world frame"),
        Field("torso_angular_velocity", (3,), "rad/s", "angular velocity of the torso, in its own frame"),
        Field("joint_velocities", (8,), "rad/s", "rates of change of joint_angles, in the same order"),
        Field("contact_forces", (13, 6), "N m, N", "contact torque and force on each body, clipped to [-1, 1]"),
        Field("tracked_position", (2,), "m", "x and y of the torso as Gymnasium tracks them, a few ms behind"),
    )
    frame_skip = 5
    horizon = 1000
    fitness_unit = "m/s"
    fitness_meaning = "mean forward speed over the whole 50 s, a fall counting as standing still from then on"
    success_threshold = RUNNING_SPEED
    expert_source = (
        "Gymnasium, Ant-v5: 1 for staying up, plus forward speed, minus 0.5 times the squared action and 0.0005 times "
        "the squared contact forces"
    )
    gymnasium_id = "Ant-v5"

    def make_model(self) -> mujoco.MjModel:
        spec = mujoco.MjSpec.from_file(str(gymnasium_asset("ant.xml")))
        compute_post_constraint(spec)
        return spec.compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        sim.field("qpos")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 15)
        sim.field("qvel")[ids] += RESET_NOISE * generator.normal(14)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        return {
            "torso_position": qpos[:, 0:3],
            "torso_orientation": qpos[:, 3:7],
            "joint_angles": qpos[:, 7:15],
            "torso_velocity": qvel[:, 0:3],
            "torso_angular_velocity": qvel[:, 3:6],
            "joint_velocities": qvel[:, 6:14],
            "contact_forces": sim.field("cfrc_ext")[:, 1:].clamp(-CONTACT_LIMIT, CONTACT_LIMIT),
            "tracked_position": sim.field("xpos")[:, 1, 0:2],
        }

    def observation(self, state: State) -> Tensor:
        return torch.cat(
            [
                state.torso_position[:, 2:],
                state.torso_orientation,
                state.joint_angles,
                state.torso_velocity,
                state.torso_angular_velocity,
                state.joint_velocities,
                state.contact_forces.flatten(1),
            ],
            dim=-1,
        )

    def terminations(self, state: State) -> dict[str, Tensor]:
        height, (lowest, highest) = state.torso_position[:, 2], TORSO_HEIGHTS
        return {"torso too low": height < lowest, "torso too high": height > highest}

    def fitness(self, episode: Episodes) -> Tensor:
        way = episode.last("torso_position")[:, 0] - episode.first("torso_position")[:, 0]
        return way / (episode.horizon * self.control_step)

    def forward_speed(self, state: State, next_state: State) -> Tensor:
        """Mean speed over one control step as Gymnasium measures it, ``(n,)`` m/s."""
        return (next_state.tracked_position[:, 0] - state.tracked_position[:, 0]) / self.control_step

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        forward = self.forward_speed(state, next_state)
        alive = ALIVE_BONUS * (~self.terminated(next_state)).to(action.dtype)
        control = -CONTROL_COST * action.square().sum(-1)
        contact = -CONTACT_COST * next_state.contact_forces.square().sum((-2, -1))
        terms = {"forward": forward, "alive": alive, "control": control, "contact": contact}
        return forward + alive + control + contact, terms

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        fast = self.forward_speed(state, next_state) >= RUNNING_SPEED
        running = (fast & ~self.terminated(next_state)).to(action.dtype)
        return running, {"running": running}
