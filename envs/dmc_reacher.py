"""dm_control's planar reacher of two links, seen from above."""

from __future__ import annotations

from typing import ClassVar

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register, tolerance
from rewardgen.tasks.suite import loosen_target, random_joints, suite_spec

FINGER_RADIUS = 0.01  # m: added to the target's radius
NEAREST, FARTHEST = 0.05, 0.2  # m: distance of the target from the base


class Reacher(SuiteTask):
    """Base of the suite's reacher tasks: 1000 steps of 0.02 s, two torques."""

    fields = (
        Field("joint_angles", (2,), "rad", "shoulder, then wrist; 0, 0 is stretched out along x"),
        Field("finger_to_target", (2,), "m", "vector from the finger to the target: x and y"),
        Field("joint_velocities", (2,), "rad/s", "rates of change of joint_angles, in the same order"),
    )
    frame_skip = 1
    success_threshold = 800.0  # chosen by hand: at the target within 4 s of 20, then held
    expert_source = "dm_control, suite/reacher.py: 1 while the finger touches the target"
    target_size: ClassVar[float]
    """Radius of the target, m."""

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``reacher.xml`` with the target as a mocap body of radius ``target_size``."""
        spec = suite_spec("reacher")
        loosen_target(spec, spec.geom("target"))
        spec.geom("target").size[0] = self.target_size
        return spec.compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw joint angles, and a target from 0.05 to 0.2 m from the base."""
        _, values = random_joints(sim.model, generator)
        sim.field("qpos")[ids] = values
        angle, radius = generator.uniform(0.0, 2.0 * torch.pi), generator.uniform(NEAREST, FARTHEST)
        place = torch.stack([radius * torch.sin(angle), radius * torch.cos(angle)], dim=-1)
        sim.field("mocap_pos")[ids, 0, 0:2] = place

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read joints, and the finger's offset from the target, in the plane."""
        places = sim.field("geom_xpos")
        finger, target = sim.model.geom("finger").id, sim.model.geom("target").id
        return {
            "joint_angles": sim.field("qpos"),
            "finger_to_target": (places[:, target] - places[:, finger])[:, 0:2],
            "joint_velocities": sim.field("qvel"),
        }

    def observation(self, state: State) -> Tensor:
        """Return all fields, ``(n, 6)``."""
        return torch.cat([state.joint_angles, state.finger_to_target, state.joint_velocities], dim=-1)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward, which is sparse: 1 while the finger touches the target."""
        there = tolerance(next_state.finger_to_target.norm(dim=-1), 0.0, self.target_size + FINGER_RADIUS)
        return there, {"there": there}

    sparse_reward = expert_reward


@register("dmc_reacher/easy")
class ReacherEasy(Reacher):
    """dm_control's reacher/easy: a target of radius 0.05 m."""

    description = (
        "A planar arm of two links, each 0.12 m long and driven weakly at its joint, moves in the horizontal plane. It "
        "should bring its finger to a target, which lies elsewhere in every episode, and keep it there."
    )
    target_size = 0.05


@register("dmc_reacher/hard")
class ReacherHard(Reacher):
    """dm_control's reacher/hard: a target of radius 0.015 m."""

    description = (
        "A planar arm of two links, each 0.12 m long and driven weakly at its joint, moves in the horizontal plane. It "
        "should bring its finger exactly to a small target, which lies elsewhere in every episode, and keep it there."
    )
    target_size = 0.015
