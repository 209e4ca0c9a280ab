"""The humanoid of Tassa, Erez and Todorov (2012), from Gymnasium's Humanoid-v5 and HumanoidStandup-v5.

Tasks: run, or stand up from lying on the back. World frame: x forward, z up.
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

RESET_NOISE = 0.01  # m, rad, m/s and rad/s: half-width of the uniform noise on the default pose
TORSO_HEIGHTS = (1.0, 2.0)  # m: running terminates when the torso leaves this range
CONTROL_COST = 0.1  # both expert rewards: per unit of squared action
CONTACT_COST = 5e-7  # both expert rewards: per unit of squared contact force
LARGEST_CONTACT_COST = 10.0  # both expert rewards: upper bound of the contact cost
ALIVE_BONUS = 5.0  # run expert reward: per step that does not terminate the episode
FORWARD_WEIGHT = 1.25  # run expert reward: per m/s
RUNNING_SPEED = 1.0  # m/s: success threshold, a walking pace; the best known policies reach 5 and more
STANDING_HEIGHT = 1.0  # m: torso height, success threshold; running terminates below it; upright it is 1.3 m


class Humanoid(Task):
    """Base of both tasks: 1000 steps of 0.015 s, 17 joint motors; fields, observation, costs."""

    group = "gymnasium"
    fields = (
        Field("torso_position", (3,), "m", "position of the torso, world frame: x forward, y left, z up"),
        Field("torso_orientation", (4,), "1", "orientation of the torso, a unit quaternion w, x, y, z"),
        Field(
            "joint_angles",
            (17,),
            "rad",
            "abdomen z, y, x; right hip x, z, y, knee; left hip x, z, y, knee; right shoulder 1, 2, elbow; left "
            "shoulder 1, 2, elbow",
        ),
        Field("torso_velocity", (3,), "m/s", "linear velocity of the torso, world frame"),
        Field("torso_angular_velocity", (3,), "rad/s", "angular velocity of the torso, in its own frame"),
        Field("joint_velocities", (17,), "rad/s", "rates of change of joint_angles, in the same order"),
        Field("centre_of_mass", (3,), "m", "centre of mass of the whole body, world frame, a few ms behind"),
        Field("body_inertias", (13, 10), "kg m^2, kg m, kg", "each body's inertia, first moment of mass and mass"),
        Field("body_velocities", (13, 6), "rad/s, m/s", "each body's angular and linear velocity at the whole centre"),
        Field("joint_torques", (17,), "N m", "torques of the motors on the joints, in the order of joint_angles"),
        Field("contact_forces", (13, 6), "N m, N", "contact torque and force on each body"),
    )
    frame_skip = 5
    horizon = 1000
    model_file: str

    def make_model(self) -> mujoco.MjModel:
        """Compile Gymnasium's ``model_file``, with contact forces computed after each step."""
        spec = mujoco.MjSpec.from_file(str(gymnasium_asset(self.model_file)))
        compute_post_constraint(spec)
        return spec.compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Add uniform noise to ``qpos`` and ``qvel``, as Gymnasium does."""
        sim.field("qpos")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 24)
        sim.field("qvel")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 23)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read MuJoCo's arrays that Gymnasium observes, without the world body and the root's motors."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        return {
            "torso_position": qpos[:, 0:3],
            "torso_orientation": qpos[:, 3:7],
            "joint_angles": qpos[:, 7:24],
            "torso_velocity": qvel[:, 0:3],
            "torso_angular_velocity": qvel[:, 3:6],
            "joint_velocities": qvel[:, 6:23],
            "centre_of_mass": sim.field("subtree_com")[:, 0],
            "body_inertias": sim.field("cinert")[:, 1:],
            "body_velocities": sim.field("cvel")[:, 1:],
            "joint_torques": sim.field("qfrc_actuator")[:, 6:],
            "contact_forces": sim.field("cfrc_ext")[:, 1:],
        }

    def observation(self, state: State) -> Tensor:
        """Return Gymnasium's observation, ``(n, 348)``: all fields but the horizontal position."""
        return torch.cat(
            [
                state.torso_position[:, 2:],
                state.torso_orientation,
                state.joint_angles,
                state.torso_velocity,
                state.torso_angular_velocity,
                state.joint_velocities,
                state.body_inertias.flatten(1),
                state.body_velocities.flatten(1),
                state.joint_torques,
                state.contact_forces.flatten(1),
            ],
            dim=-1,
        )

    def costs(self, action: Tensor, next_state: State) -> dict[str, Tensor]:
        """Return the control and contact costs of both expert rewards, ``(n,)`` each, negative."""
        squared_forces = next_state.contact_forces.square().sum((-2, -1))
        return {
            "control": -CONTROL_COST * action.square().sum(-1),
            "contact": -(CONTACT_COST * squared_forces).clamp(max=LARGEST_CONTACT_COST),
        }


@register("humanoid/run")
class HumanoidRun(Humanoid):
    """Gymnasium's Humanoid-v5: run along +x."""

    description = (
        "A humanoid with 17 driven joints stands on flat ground. It should run forward, in the +x direction, as fast "
        "as it can without falling; the episode ends when its torso leaves the heights from 1 m to 2 m."
    )
    fitness_unit = "m/s"
    fitness_meaning = "mean forward speed over the whole 15 s, a fall counting as standing still from then on"
    success_threshold = RUNNING_SPEED
    expert_source = (
        "Gymnasium, Humanoid-v5: 5 for staying up, plus 1.25 times the forward speed, minus 0.1 times the squared "
        "action and up to 10 for squared contact forces"
    )
    gymnasium_id = "Humanoid-v5"
    model_file = "humanoid.xml"

    def terminations(self, state: State) -> dict[str, Tensor]:
        """End the episode when the torso's height leaves 1 to 2 m, as Humanoid-v5 does."""
        height, (lowest, highest) = state.torso_position[:, 2], TORSO_HEIGHTS
        return {"torso too low": height <= lowest, "torso too high": height >= highest}

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the distance along x over the full 15 s, ``(n,)`` m/s; time after a fall counts with speed 0."""
        way = episode.last("torso_position")[:, 0] - episode.first("torso_position")[:, 0]
        return way / (episode.horizon * self.control_step)

    def forward_speed(self, state: State, next_state: State) -> Tensor:
        """Return the centre of mass's mean speed over one control step, as Gymnasium does, ``(n,)`` m/s."""
        return (next_state.centre_of_mass[:, 0] - state.centre_of_mass[:, 0]) / self.control_step

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return Humanoid-v5's reward: 1.25 times forward speed, plus alive bonus, minus costs."""
        forward = FORWARD_WEIGHT * self.forward_speed(state, next_state)
        alive = ALIVE_BONUS * (~self.terminated(next_state)).to(action.dtype)
        terms = {"forward": forward, "alive": alive, **self.costs(action, next_state)}
        return forward + alive + terms["control"] + terms["contact"], terms

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps at 1 m/s or more that do not terminate the episode."""
        fast = self.forward_speed(state, next_state) >= RUNNING_SPEED
        running = (fast & ~self.terminated(next_state)).to(action.dtype)
        return running, {"running": running}


@register("humanoid/standup")
class HumanoidStandup(Humanoid):
    """Gymnasium's HumanoidStandup-v5; nothing ends an episode early."""

    description = (
        "A humanoid with 17 driven joints lies on its back on flat ground. It should get up: raise its torso to the "
        "height of a standing body, and keep it there."
    )
    fitness_unit = "m"
    fitness_meaning = "mean height of the torso over the second half of the 15 s"
    success_threshold = STANDING_HEIGHT
    expert_source = (
        "Gymnasium, HumanoidStandup-v5: the torso's height divided by the 0.003 s of a substep, plus 1, minus 0.1 "
        "times the squared action and up to 10 for squared contact forces"
    )
    gymnasium_id = "HumanoidStandup-v5"
    model_file = "humanoidstandup.xml"

    @property
    def substep(self) -> float:
        """Seconds in one physics substep."""
        return float(self.model.opt.timestep)

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the mean height of the torso over the second half of the episode, ``(n,)`` m."""
        return episode.field("torso_position")[1 + episode.horizon // 2 :, :, 2].mean(0)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return HumanoidStandup-v5's reward: torso height divided by the substep, plus 1, minus costs."""
        height = next_state.torso_position[:, 2] / self.substep
        alive = torch.ones_like(height)
        terms = {"height": height, "alive": alive, **self.costs(action, next_state)}
        return height + alive + terms["control"] + terms["contact"], terms

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps that end with the torso at 1 m or higher."""
        standing = (next_state.torso_position[:, 2] >= STANDING_HEIGHT).to(action.dtype)
        return standing, {"standing": standing}
