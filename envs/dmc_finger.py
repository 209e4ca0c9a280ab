"""dm_control's finger: a planar finger of two links turns a spinner on a free hinge, after Tassa et al. (2010).

x is sideways, z up; there is no gravity.
"""

from __future__ import annotations

from typing import ClassVar

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register
from rewardgen.tasks.suite import loosen_target, random_joints, read_sensor, suite_spec, until_no_contacts

SPIN_VELOCITY = 15.0  # rad/s: speed that counts as spinning
SPIN_DAMPING = 0.03  # N m s/rad: damping of the spinner's hinge in spin; the turn tasks keep the model's 0.5
HINGE = (0.2, 0.4)  # m: x and z of the spinner's hinge
TARGET_RADIUS = 0.13  # m: radius of the circle of targets, on which the spinner's end moves

FIELDS = (
    Field("joint_angles", (2,), "rad", "of the finger: where it is fixed, and between its links"),
    Field("tip_position", (2,), "m", "the marked end of the spinner from the spinner's hinge: x and z"),
    Field("joint_velocities", (2,), "rad/s", "rates of change of joint_angles, in the same order"),
    Field("spinner_velocity", (), "rad/s", "rate of the spinner, positive anticlockwise seen along +y"),
    Field("touch", (2,), "N", "pressure on the upper and the lower side of the fingertip"),
)


class Finger(SuiteTask):
    """Base of the suite's finger tasks: 1000 steps of 0.02 s, two joint motors."""

    fields = FIELDS
    frame_skip = 2

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw finger and spinner angles uniformly until nothing is in contact."""
        qpos = sim.field("qpos")

        def place(chosen: Tensor) -> None:
            columns, values = random_joints(sim.model, generator)
            qpos[ids[chosen][:, None], columns] = values[chosen]

        until_no_contacts(sim, ids, place)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read joint angles, the spinner's end relative to its hinge, velocities and touch sensors."""
        hinge = read_sensor(sim, "spinner")[:, [0, 2]]
        return {
            "joint_angles": sim.field("qpos")[:, 0:2],
            "tip_position": read_sensor(sim, "tip")[:, [0, 2]] - hinge,
            "joint_velocities": sim.field("qvel")[:, 0:2],
            "spinner_velocity": sim.field("qvel")[:, 2],
            "touch": torch.cat([read_sensor(sim, "touchtop"), read_sensor(sim, "touchbottom")], dim=-1),
        }

    def observation(self, state: State) -> Tensor:
        """Return the suite's observation, ``(n, 9)``, with touch forces f as log(1 + f)."""
        return torch.cat(
            [
                state.joint_angles,
                state.tip_position,
                state.joint_velocities,
                state.spinner_velocity[:, None],
                torch.log1p(state.touch),
            ],
            dim=-1,
        )


@register("dmc_finger/spin")
class FingerSpin(Finger):
    """dm_control's finger/spin, with a hinge that is damped less than in the other tasks."""

    description = (
        "A planar finger of two driven links can touch a body that turns freely on a hinge, without gravity. It should "
        "make that body spin fast and go on spinning, in the direction of negative spinner_velocity."
    )
    success_threshold = 700.0  # chosen by hand: fast for most of the episode, the start included
    expert_source = "dm_control, suite/finger.py, spin: 1 while the spinner turns at 15 rad/s or more, backwards"

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``finger.xml`` with the spinner's damping reduced to 0.03 N m s/rad."""
        spec = suite_spec("finger")
        spec.joint("hinge").damping[0] = SPIN_DAMPING
        return spec.compile()

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward, which is sparse: 1 at -15 rad/s or faster."""
        spinning = (next_state.spinner_velocity <= -SPIN_VELOCITY).to(action.dtype)
        return spinning, {"spinning": spinning}

    sparse_reward = expert_reward


class FingerTurn(Finger):
    """Base of the suite's turn tasks, which differ in the size of the target."""

    fields = (*FIELDS, Field("target_position", (2,), "m", "the target from the spinner's hinge: x and z"))
    success_threshold = 700.0  # chosen by hand: at the target within the first third, then held
    expert_source = "dm_control, suite/finger.py, turn: 1 while the spinner's end is inside the target"
    target_size: ClassVar[float]
    """Radius of the target, m."""

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``finger.xml`` with the target as a mocap body of radius ``target_size``."""
        spec = suite_spec("finger")
        loosen_target(spec, spec.site("target"))
        spec.site("target").size[0] = self.target_size
        return spec.compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Place the target at a random angle on the circle around the hinge, then reset the finger."""
        angle = generator.uniform(-torch.pi, torch.pi)
        target = sim.field("mocap_pos")
        target[ids, 0, 0] = HINGE[0] + TARGET_RADIUS * torch.sin(angle)
        target[ids, 0, 2] = HINGE[1] + TARGET_RADIUS * torch.cos(angle)
        super().reset(sim, ids, generator)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Return the finger's fields and the target relative to the hinge."""
        target = read_sensor(sim, "target") - read_sensor(sim, "spinner")
        return {**super().state(sim), "target_position": target[:, [0, 2]]}

    def observation(self, state: State) -> Tensor:
        """Return the suite's observation, ``(n, 12)``: the finger's, target position and distance."""
        distance = self.distance(state)
        return torch.cat([super().observation(state), state.target_position, distance[:, None]], dim=-1)

    def distance(self, state: State) -> Tensor:
        """Return the distance from the spinner's end to the target's edge, ``(n,)`` m, negative inside."""
        return (state.target_position - state.tip_position).norm(dim=-1) - self.target_size

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward, which is sparse: 1 with the spinner's end inside the target."""
        there = (self.distance(next_state) <= 0.0).to(action.dtype)
        return there, {"there": there}

    sparse_reward = expert_reward


@register("dmc_finger/turn_easy")
class FingerTurnEasy(FingerTurn):
    """dm_control's finger/turn_easy: a target of radius 0.07 m."""

    description = (
        "A planar finger of two driven links can touch a body that turns on a hinge, without gravity. It should turn "
        "that body so that its marked end comes to lie in a target, which is elsewhere on the circle around the hinge "
        "in every episode, and leave it there."
    )
    target_size = 0.07


@register("dmc_finger/turn_hard")
class FingerTurnHard(FingerTurn):
    """dm_control's finger/turn_hard: a target of radius 0.03 m."""

    description = (
        "A planar finger of two driven links can touch a body that turns on a hinge, without gravity. It should turn "
        "that body so that its marked end comes to lie in a small target, which is elsewhere on the circle around the "
        "hinge in every episode, and leave it there exactly."
    )
    target_size = 0.03
