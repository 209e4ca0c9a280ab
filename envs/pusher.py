"""A seven-joint arm above a table, from Gymnasium's Pusher-v5: push a cylinder onto its goal.

World frame: x to the right, y away from the arm's shoulder, z up; the table top is at z = -0.325 m.
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

START_LOW, START_HIGH = (-0.3, -0.2), (0.0, 0.2)  # m: range of the start's offset from the goal, along y and x
START_APART = 0.17  # m: smallest distance of the cylinder's start from the goal
VELOCITY_NOISE = 0.005  # rad/s: half-width of the uniform noise on the arm's joint velocities
DRAWS = 16  # start positions drawn; about one in four is too near, so all of them are once in 4e9 resets
NEAR_COST, CONTROL_COST = 0.5, 0.1  # expert reward: per m from hand to cylinder, per unit of squared action
ON_GOAL = 0.08  # m: radius of the goal; within this distance the cylinder covers the goal's centre


@register("pusher/push")
class PusherPush(Task):
    """Gymnasium's Pusher-v5: 100 steps of 0.05 s, seven joint motors."""

    group = "gymnasium"
    description = (
        "A robot arm with seven driven joints (three in the shoulder, one in the elbow, one in the forearm, two in "
        "the wrist) ends in a two-pronged hand just above a table. It should push a cylinder, which starts somewhere "
        "else in every episode, to the goal on the table and leave it there, within 5 s."
    )
    fields = (
        Field("joint_angles", (7,), "rad", "shoulder pan, lift, upper arm roll, elbow, forearm roll, wrist flex, roll"),
        Field("joint_velocities", (7,), "rad/s", "rates of change of joint_angles, in the same order"),
        Field("hand_position", (3,), "m", "the root of the hand's prongs, world frame"),
        Field("cylinder_position", (3,), "m", "centre of the cylinder, world frame; it slides in x and y alone"),
        Field("goal_position", (3,), "m", "the goal on the table, world frame, a little below the cylinder's centre"),
    )
    frame_skip = 5
    horizon = 100
    fitness_unit = "m"
    fitness_meaning = "minus the mean distance on the table from the cylinder to the goal over the last second"
    fitness_range = (-math.inf, 0.0)
    success_threshold = -ON_GOAL
    expert_source = (
        "Gymnasium, Pusher-v5: minus the distance from cylinder to goal, minus half of that from hand to cylinder, "
        "minus 0.1 times the squared action"
    )
    gymnasium_id = "Pusher-v5"

    def make_model(self) -> mujoco.MjModel:
        """Load Gymnasium's ``pusher_v5.xml``."""
        return mujoco.MjModel.from_xml_path(str(gymnasium_asset("pusher_v5.xml")))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw the cylinder's position at least 0.17 m from the goal; add noise to the arm's velocities."""
        # Gymnasium redraws until the cylinder is far enough away; the first valid draw has the same distribution.
        low, high = (torch.tensor(ends, device=sim.device) for ends in (START_LOW, START_HIGH))
        drawn = low + (high - low) * generator.uniform(0.0, 1.0, DRAWS, 2)
        far = drawn.norm(dim=-1) > START_APART
        first = far.to(torch.uint8).argmax(dim=-1)
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        qpos[ids, 7:9] = drawn[torch.arange(len(ids), device=sim.device), first]
        qpos[ids, 9:11] = 0.0
        qvel[ids, 0:7] += generator.uniform(-VELOCITY_NOISE, VELOCITY_NOISE, 7)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read the arm's joints and the positions of hand, cylinder and goal from ``xpos``."""
        model, xpos = sim.model, sim.field("xpos")
        return {
            "joint_angles": sim.field("qpos")[:, 0:7],
            "joint_velocities": sim.field("qvel")[:, 0:7],
            "hand_position": xpos[:, model.body("tips_arm").id],
            "cylinder_position": xpos[:, model.body("object").id],
            "goal_position": xpos[:, model.body("goal").id],
        }

    def observation(self, state: State) -> Tensor:
        """Return Pusher-v5's observation, ``(n, 23)``: all fields."""
        parts = [state.joint_angles, state.joint_velocities, state.hand_position]
        return torch.cat([*parts, state.cylinder_position, state.goal_position], dim=-1)

    def fitness(self, episode: Episodes) -> Tensor:
        """Return minus the mean horizontal distance over the last second, cylinder to goal, ``(n,)`` m."""
        away = (episode.field("cylinder_position") - episode.field("goal_position"))[..., 0:2].norm(dim=-1)
        return -away[-round(1.0 / self.control_step) :].mean(0)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return Pusher-v5's reward: minus distances (cylinder to goal, hand to cylinder) and control cost."""
        cylinder = next_state.cylinder_position
        distance = -(cylinder - next_state.goal_position).norm(dim=-1)
        near = -NEAR_COST * (cylinder - next_state.hand_position).norm(dim=-1)
        control = -CONTROL_COST * action.square().sum(-1)
        return distance + near + control, {"distance": distance, "near": near, "control": control}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps that end with the cylinder within 0.08 m of the goal."""
        away = (next_state.cylinder_position - next_state.goal_position)[:, 0:2].norm(dim=-1)
        there = (away <= ON_GOAL).to(action.dtype)
        return there, {"there": there}
