"""dm_control's acrobot, after Coulom (2002): two links on a hinge, of which only the joint between them is driven.

It moves in the vertical plane: x sideways, z up.
"""

from __future__ import annotations

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register, tolerance
from rewardgen.tasks.suite import suite_spec

TARGET_RADIUS = 0.2  # m: the tip counts as at the target within this distance
REACH = 1.0  # m: expert reward: margin of the tolerance; at this distance from the target's edge it is 0.1


@register("dmc_acrobot/swingup")
class AcrobotSwingup(SuiteTask):
    """dm_control's acrobot/swingup: 1000 steps of 0.01 s, one torque."""

    description = (
        "Two links, each 1 m long, hang one below the other from a free hinge; only the joint between them is driven, "
        "and weakly. They should swing up until the tip of the lower one is at the target straight above the hinge, "
        "which only the stretched arm reaches, and balance there."
    )
    fields = (
        Field("uprightness", (2,), "1", "cosine of the angle from upright of the upper and the lower link: 1 upright"),
        Field("sideways", (2,), "1", "sine of the same angles: 1 pointing along +x"),
        Field("joint_velocities", (2,), "rad/s", "rates of the hinge and of the driven joint"),
        Field("tip_to_target", (2,), "m", "vector from the tip of the lower link to the target: x and z"),
    )
    frame_skip = 1
    success_threshold = 200.0  # chosen by hand: a swing-up followed by some balancing
    expert_source = "dm_control, suite/acrobot.py, swingup: 1 at the target, falling with the tip's distance from it"

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``acrobot.xml``."""
        return suite_spec("acrobot").compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw both joint angles uniformly from -pi to pi, at rest."""
        sim.field("qpos")[ids] = generator.uniform(-torch.pi, torch.pi, 2)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read the links' orientations from ``xmat`` and the tip's offset from the site positions."""
        model, places = sim.model, sim.field("site_xpos")
        links = sim.field("xmat")[:, [model.body("upper_arm").id, model.body("lower_arm").id]]
        return {
            "uprightness": links[:, :, 8],
            "sideways": links[:, :, 2],
            "joint_velocities": sim.field("qvel"),
            "tip_to_target": (places[:, model.site("target").id] - places[:, model.site("tip").id])[:, [0, 2]],
        }

    def observation(self, state: State) -> Tensor:
        """Return the suite's observation, ``(n, 6)``: sines, cosines and velocities, without the target."""
        return torch.cat([state.sideways, state.uprightness, state.joint_velocities], dim=-1)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward: 1 within 0.2 m of the target, decaying to 0.1 one metre outside."""
        near = tolerance(next_state.tip_to_target.norm(dim=-1), 0.0, TARGET_RADIUS, margin=REACH)
        return near, {"near": near}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 with the tip within 0.2 m of the target: the suite's swingup_sparse."""
        there = tolerance(next_state.tip_to_target.norm(dim=-1), 0.0, TARGET_RADIUS)
        return there, {"there": there}
