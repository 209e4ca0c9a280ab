"""dm_control's fish, which swims in a fluid without gravity.

The torso's y axis points forward, its z axis up.
"""

from __future__ import annotations

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register, tolerance
from rewardgen.tasks.suite import loosen_target, random_orientation, suite_spec

JOINT_NOISE = 0.2  # rad: half-width of the uniform start distribution of the joints
IN_REACH = 0.045  # m: sum of the radii of mouth and target

FIELDS = (
    Field(
        "joint_angles",
        (7,),
        "rad",
        "tail, its twist, tail fin, roll and pitch of the right fin, roll and pitch of the left fin",
    ),
    Field("torso_upright", (), "1", "cosine of the angle between the torso's up direction and the world's: 1 upright"),
    Field("torso_velocity", (3,), "m/s", "velocity of the torso, world frame"),
    Field("torso_angular_velocity", (3,), "rad/s", "angular velocity of the torso, torso frame"),
    Field("joint_velocities", (7,), "rad/s", "rates of change of joint_angles, in the same order"),
)


class Fish(SuiteTask):
    """Base of the suite's fish tasks: 1000 steps of 0.04 s, five motors on tail and fins."""

    fields = FIELDS
    frame_skip = 10

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``fish.xml`` with the target as a mocap body."""
        spec = suite_spec("fish")
        loosen_target(spec, spec.geom("target"))
        return spec.compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw a uniform orientation and uniform joint angles, at rest."""
        qpos = sim.field("qpos")
        qpos[ids, 3:7] = random_orientation(generator)
        qpos[ids, 7:14] = generator.uniform(-JOINT_NOISE, JOINT_NOISE, 7)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read joint angles, velocities, and the torso's z axis in the world frame."""
        qvel = sim.field("qvel")
        return {
            "joint_angles": sim.field("qpos")[:, 7:14],
            "torso_upright": sim.field("xmat")[:, sim.model.body("torso").id, 8],
            "torso_velocity": qvel[:, 0:3],
            "torso_angular_velocity": qvel[:, 3:6],
            "joint_velocities": qvel[:, 6:13],
        }

    def velocities(self, state: State) -> Tensor:
        """Return all velocities, ``(n, 13)``: torso linear, torso angular, joints."""
        return torch.cat([state.torso_velocity, state.torso_angular_velocity, state.joint_velocities], dim=-1)


@register("dmc_fish/upright")
class FishUpright(Fish):
    """dm_control's fish/upright: turn upright from any orientation."""

    description = (
        "A fish with a tail and two side fins, moved by five motors, floats in water in any orientation. It should "
        "turn upright, its up direction along the world's, and stay so."
    )
    success_threshold = 900.0  # chosen by hand: upright within the first seconds of 40; a start near upright passes too
    expert_source = "dm_control, suite/fish.py, upright: 1 upright, falling with the cosine of the tilt"

    def observation(self, state: State) -> Tensor:
        """Return the suite's observation, ``(n, 21)``."""
        return torch.cat([state.joint_angles, state.torso_upright[:, None], self.velocities(state)], dim=-1)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward: 1 upright, decaying with the cosine of the tilt."""
        upright = tolerance(next_state.torso_upright, 1.0, 1.0, margin=1.0)
        return upright, {"upright": upright}


@register("dmc_fish/swim")
class FishSwim(Fish):
    """dm_control's fish/swim: swim to a target that is at another place in each episode."""

    description = (
        "A fish with a tail and two side fins, moved by five motors, floats in water in any orientation. It should "
        "swim until its mouth is at a target, which is elsewhere in every episode, and stay there, preferably upright."
    )
    fields = (
        *FIELDS,
        Field("mouth_to_target", (3,), "m", "vector from the mouth to the target, in the frame of the mouth"),
    )
    success_threshold = 500.0  # chosen by hand: at the target for half of the episode, or upright and near it
    expert_source = "dm_control, suite/fish.py, swim: 7/8 for the mouth's distance to the target, 1/8 for being upright"

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Reset the fish and draw the target within 0.4 m in x and y, from 0.1 to 0.3 m high."""
        super().reset(sim, ids, generator)
        target = sim.field("mocap_pos")
        target[ids, 0, 0:2] = generator.uniform(-0.4, 0.4, 2)
        target[ids, 0, 2] = generator.uniform(0.1, 0.3)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Return the fish's fields and the vector to the target in the mouth's frame."""
        mouth = sim.model.geom("mouth").id
        way = sim.field("mocap_pos")[:, 0] - sim.field("geom_xpos")[:, mouth]
        frame = sim.field("geom_xmat")[:, mouth].unflatten(-1, (3, 3))
        return {**super().state(sim), "mouth_to_target": torch.einsum("ni,nij->nj", way, frame)}

    def observation(self, state: State) -> Tensor:
        """Return the suite's observation, ``(n, 24)``: as for upright, and the vector to the target."""
        parts = [state.joint_angles, state.torso_upright[:, None], state.mouth_to_target, self.velocities(state)]
        return torch.cat(parts, dim=-1)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward: 7/8 for the mouth at the target, 1/8 for being upright."""
        distance = next_state.mouth_to_target.norm(dim=-1)
        near = 7.0 / 8.0 * tolerance(distance, 0.0, IN_REACH, margin=2.0 * IN_REACH)
        upright = (next_state.torso_upright + 1.0) / 16.0
        return near + upright, {"near": near, "upright": upright}
