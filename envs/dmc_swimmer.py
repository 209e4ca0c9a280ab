"""dm_control's planar swimmer of many links in a viscous fluid, after Coulom (2002)."""

from __future__ import annotations

from typing import ClassVar

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register, tolerance
from rewardgen.tasks.suite import loosen_target, random_joints, suite_spec

LINK = 0.1  # m: length of a link
TARGET_RADIUS = 0.1  # m: the nose is at the target within this distance
NEAR, ANYWHERE = 0.3, 2.0  # m: half-width of the square of close targets and of all others
CLOSE_TARGETS = 0.2  # probability of a close target
SENSORS = (("velocimeter", mujoco.mjtSensor.mjSENS_VELOCIMETER), ("gyro", mujoco.mjtSensor.mjSENS_GYRO))


def fields_of(links: int) -> tuple[Field, ...]:
    """Return the state fields of a swimmer of ``links`` links, which has ``links - 1`` joints."""
    return (
        Field("joint_angles", (links - 1,), "rad", "between neighbouring links, from the head to the tail"),
        Field("nose_to_target", (2,), "m", "vector from the nose to the target, in the head's frame: -y is forward"),
        Field("link_velocities", (links, 2), "m/s", "velocity of each link along its own x and y, the head first"),
        Field("link_rates", (links,), "rad/s", "rate at which each link turns, the head first"),
    )


class Swimmer(SuiteTask):
    """Base of the suite's swimmer tasks: 1000 steps of 0.03 s, one motor per joint.

    ``links`` is the number of links, the head included.
    """

    frame_skip = 15
    success_threshold = 500.0  # chosen by hand: at the target for half of the episode; targets are up to 2.8 m away
    expert_source = "dm_control, suite/swimmer.py: 1 with the nose in the target, with a long tail outside it"
    links: ClassVar[int]

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``swimmer.xml`` with further links appended, as the suite's builder does."""
        spec = suite_spec("swimmer")
        links, inertial, visual = (spec.find_default(name) for name in ("swimmer", "inertial", "visual"))
        motor = spec.default
        body, bend = spec.body("head"), 360.0 / self.links
        for index in range(self.links - 1):
            body = body.add_body(name=f"segment_{index}", pos=[0.0, LINK, 0.0])
            body.add_geom(visual, name=f"visual_{index}")
            body.add_geom(inertial, name=f"inertial_{index}")
            site = body.add_site(links, name=f"site_{index}")
            joint = body.add_joint(links, name=f"joint_{index}", range=[-bend, bend])
            actuator = spec.add_actuator(
                motor, name=f"motor_{index}", target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT
            )
            assert actuator.ctrllimited
            for kind, sensor in SENSORS:
                spec.add_sensor(
                    name=f"{kind}_{index}",
                    type=sensor,
                    objtype=mujoco.mjtObj.mjOBJ_SITE,
                    objname=site.name,
                )
        loosen_target(spec, spec.geom("target"))
        spec.delete(spec.light("target_light"))
        return spec.compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw heading and joint angles, and a target that is close in a fifth of the episodes."""
        columns, values = random_joints(sim.model, generator)
        qpos, target = sim.field("qpos"), sim.field("mocap_pos")
        qpos[ids[:, None], columns] = values
        box = torch.where(generator.uniform(0.0, 1.0) < CLOSE_TARGETS, NEAR, ANYWHERE)
        target[ids, 0, 0:2] = box[:, None] * generator.uniform(-1.0, 1.0, 2)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read joints, link velocities from the sensors, and the target in the head's frame."""
        nose, head = sim.model.geom("nose").id, sim.model.body("head").id
        way = sim.field("mocap_pos")[:, 0] - sim.field("geom_xpos")[:, nose]
        frame = sim.field("xmat")[:, head].unflatten(-1, (3, 3))
        first = sim.model.sensor("head_vel").adr[0]  # followed by the head's gyro, then both sensors of each link
        motion = sim.field("sensordata")[:, first:].unflatten(-1, (self.links, 6))
        return {
            "joint_angles": sim.field("qpos")[:, 3:],
            "nose_to_target": torch.einsum("ni,nij->nj", way, frame)[:, 0:2],
            "link_velocities": motion[:, :, 0:2],
            "link_rates": motion[:, :, 5],
        }

    def observation(self, state: State) -> Tensor:
        """Return the suite's observation, ``(n, 4 links + 1)``: joints, target, velocity of each link."""
        motion = torch.cat([state.link_velocities, state.link_rates[:, :, None]], dim=-1)
        return torch.cat([state.joint_angles, state.nose_to_target, motion.flatten(1)], dim=-1)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward: 1 with the nose within 0.1 m of the target, a long tail outside."""
        distance = next_state.nose_to_target.norm(dim=-1)
        near = tolerance(distance, 0.0, TARGET_RADIUS, margin=5.0 * TARGET_RADIUS, shape="long_tail")
        return near, {"near": near}


@register("dmc_swimmer/swimmer6")
class Swimmer6(Swimmer):
    """dm_control's swimmer/swimmer6."""

    description = (
        "A snake of six links with five driven joints swims in the plane, in a fluid that resists it. It should swim "
        "until its nose is at a target, which lies elsewhere in every episode, and stay there."
    )
    links = 6
    fields = fields_of(links)


@register("dmc_swimmer/swimmer15")
class Swimmer15(Swimmer):
    """dm_control's swimmer/swimmer15."""

    description = (
        "A snake of fifteen links with fourteen driven joints swims in the plane, in a fluid that resists it. It "
        "should swim until its nose is at a target, which lies elsewhere in every episode, and stay there."
    )
    links = 15
    fields = fields_of(links)
