"""dm_control's point mass in a plane, seen from above."""

from __future__ import annotations

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register, tolerance
from rewardgen.tasks.suite import random_joints, small_control, suite_spec

TARGET_RADIUS = 0.015  # m; also the margin of the expert reward


@register("dmc_point_mass/easy")
class PointMassEasy(SuiteTask):
    """dm_control's point_mass/easy: 1000 steps of 0.02 s, one force along each axis."""

    description = (
        "A small mass slides in a square horizontal arena, 0.6 m wide, pushed along x and along y by one motor each. "
        "It should come to rest on the target in the middle of the arena, and stay there with little effort."
    )
    fields = (
        Field("position", (2,), "m", "x and y of the mass from the target"),
        Field("velocity", (2,), "m/s", "velocity of the mass along x and y"),
    )
    frame_skip = 1
    success_threshold = 800.0  # chosen by hand: at the target within the first tenth, with small actions
    expert_source = "dm_control, suite/point_mass.py, easy: 1 on the target, falling outside it, less for large actions"

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``point_mass.xml``."""
        return suite_spec("point_mass").compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw the position uniformly over the arena, at rest."""
        _, values = random_joints(sim.model, generator)
        sim.field("qpos")[ids] = values

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Return ``qpos`` and ``qvel``; the target is at the origin."""
        return {"position": sim.field("qpos"), "velocity": sim.field("qvel")}

    def observation(self, state: State) -> Tensor:
        """Return both fields, ``(n, 4)``."""
        return torch.cat([state.position, state.velocity], dim=-1)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward: closeness to the target, times 0.8 to 1 for small actions."""
        near = tolerance(next_state.position.norm(dim=-1), 0.0, TARGET_RADIUS, margin=TARGET_RADIUS)
        resting = near * (small_control(action).mean(-1) + 4.0) / 5.0
        return resting, {"resting": resting}
