"""The Shadow Dexterous Hand with a thing on its palm, as Gymnasium-Robotics' HandManipulate environments have it.

An action spreads over the range of each of 20 position actuators. The goal, a pose of the thing, is that of a mocap
body. The package drops the thing anew for each episode and lets it come to rest; here that is done a number of times
before the first episode, and each episode draws one of these starts, with a goal of its own. After Plappert et al.,
"Multi-Goal Reinforcement Learning" (2018). The last two tasks are Eureka's pen spinning (Ma et al., 2024) on that hand.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import cached_property
from typing import ClassVar

import mujoco
import torch
from torch import Tensor

from rewardgen.sim import MujocoSim
from rewardgen.tasks import (
    Episodes,
    Field,
    RewardAndTerms,
    Simulator,
    State,
    UnitActions,
    WorldRandom,
    euler_angles,
    quaternion_product,
    register,
)

JOINTS = 24
OBJECT = slice(24, 31)  # in qpos: position and quaternion of the thing
SETTLING = 10  # control steps in which the thing comes to lie on the palm before an episode
ON_PALM = 0.04  # m: a thing that lies lower has fallen off
STARTS = 128  # settled starts, of which each episode draws one
START_SPREAD = 0.005  # m: standard deviation of where the thing is dropped
GOAL_OFFSET = ((-0.04, 0.04), (-0.06, 0.02), (0.0, 0.06))  # m: from the thing's start to its goal, along x, y and z
ROTATION_REACHED = 0.1  # rad: the thing counts as turned as wanted within this angle
POSITION_WEIGHT = 10.0  # rad/m: of the expert reward
EYE = (0.69, 0.5, 0.4)  # m: where pictures are taken from, near the hand and from the side that the package's are
EYE_AXES = (0.819, -0.574, 0.0, 0.243, 0.346, 0.906)  # right and up of these pictures

PEN_REACHED = 0.2  # rad: a spinning pen has reached its goal within this angle, whatever its turn about itself
PEN_DROPPED = 0.24  # m: its episode ends when it is this far from where it lay
PEN_STEP = math.radians(30.0)  # from one goal of spinning to the next
PEN_GOALS = 3.0  # what counts as reorienting: one may be near from the start, and a second be met by luck
PEN_WHOLE_TURN = 12.0  # goals: what counts as spinning, once around
PEN_TURN_MARGIN = 0.1  # rad: of the expert reward, as are
PEN_PLACE_WEIGHT, PEN_CONTROL_COST, PEN_GOAL_BONUS = 10.0, 0.0002, 250.0  # per m, per unit squared, for each goal


def hand_and_thing(sim: Simulator) -> dict[str, Tensor]:
    """What all tasks see."""
    qpos, qvel = sim.field("qpos"), sim.field("qvel")
    return {
        "joint_angles": qpos[:, :JOINTS],
        "joint_velocities": qvel[:, :JOINTS],
        "object_position": qpos[:, 24:27],
        "object_quaternion": qpos[:, 27:31],
        "object_velocity": qvel[:, 24:27],
        "object_angular_velocity": qvel[:, 27:30],
        "goal_position": sim.field("mocap_pos")[:, 0],
        "goal_quaternion": sim.field("mocap_quat")[:, 0],
    }


class ShadowHandTask(UnitActions):
    """What the three tasks share."""

    group = "robotics"
    package = ("gymnasium_robotics", "rewardgen[robotics]")
    frame_skip = 20
    horizon = 100
    fitness_unit = "success"
    fitness_range = (0.0, 1.0)
    success_threshold = 1.0
    fields: ClassVar[tuple[Field, ...]] = (
        Field("joint_angles", (24,), "rad", "wrist, first, middle, ring, little finger and thumb, each from its base"),
        Field("joint_velocities", (24,), "rad/s", "rates of change of joint_angles, in the same order"),
        Field("object_position", (3,), "m", "middle of the thing, world frame, z up"),
        Field("object_quaternion", (4,), "1", "how it is turned: w, x, y, z"),
        Field("object_velocity", (3,), "m/s", "velocity of the thing, world frame"),
        Field("object_angular_velocity", (3,), "rad/s", "angular velocity of the thing, along its own axes"),
        Field("goal_position", (3,), "m", "where the middle of the thing should be"),
        Field("goal_quaternion", (4,), "1", "how it should be turned: w, x, y, z"),
    )

    scene: ClassVar[str]
    """The model's file."""
    turned_at_start: ClassVar[bool] = True
    """True: the thing is dropped in a random attitude."""
    position_reached: ClassVar[float] = 0.01
    """m: the thing counts as there within this distance."""

    def make_model(self) -> mujoco.MjModel:
        return self.make_spec().compile()

    def make_spec(self) -> mujoco.MjSpec:
        spec = mujoco.MjSpec.from_file(str(self.asset(f"envs/assets/hand/{self.scene}")))
        spec.delete(spec.joint("target:joint"))
        spec.body("target").mocap = True
        camera = spec.worldbody.add_camera(name="beside", pos=EYE)
        camera.alt.type, camera.alt.xyaxes = mujoco.mjtOrientation.mjORIENTATION_XYAXES, EYE_AXES
        return spec

    @cached_property
    def _settled(self) -> tuple[Tensor, Tensor]:
        """``qpos`` and ``qvel`` of starts, ``(k, ...)`` with ``k`` at most ``STARTS``: dropped, and come to rest."""
        streams = torch.arange(STARTS)
        sim, random = MujocoSim(self.model, STARTS), WorldRandom(streams, torch.full_like(streams, -1))
        qpos = sim.field("qpos")
        if self.turned_at_start:
            qpos[:, 27:31] = quaternion_product(qpos[:, 27:31], attitudes(random))
        qpos[:, 24:27] += START_SPREAD * random.normal(3)
        sim.forward(streams)
        rest = torch.zeros(STARTS, self.action_size)
        lying = torch.ones(STARTS, dtype=torch.bool)
        for _ in range(SETTLING):
            self.advance(sim, rest)
            lying &= ~sim.diverged()
        lying &= qpos[:, 26] > ON_PALM
        return qpos[lying].clone(), sim.field("qvel")[lying].clone()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        qpos, qvel, place = sim.field("qpos"), sim.field("qvel"), sim.field("mocap_pos")
        starts, velocities = (values.to(qpos) for values in self._settled)
        chosen = (generator.uniform(0.0, 1.0) * len(starts)).long().clamp(max=len(starts) - 1)
        qpos[ids], qvel[ids] = starts[chosen], velocities[chosen]
        offset = torch.stack([generator.uniform(low, high) for low, high in GOAL_OFFSET], dim=-1)
        place[ids, 0] = starts[chosen, 24:27] + offset.to(qpos)
        sim.field("mocap_quat")[ids, 0] = attitudes(generator).to(qpos)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        return hand_and_thing(sim)

    def observation(self, state: State) -> Tensor:
        """The package's: achieved goal, desired goal, observation."""
        achieved = [state.object_position, state.object_quaternion]
        return torch.cat(
            [
                *achieved,
                state.goal_position,
                state.goal_quaternion,
                state.joint_angles,
                state.joint_velocities,
                state.object_velocity,
                state.object_angular_velocity,
                *achieved,
            ],
            dim=-1,
        )

    def distance(self, state: State) -> Tensor:
        """``(n,)`` m from the thing to where it should be."""
        return (state.object_position - state.goal_position).norm(dim=-1)

    def rotation(self, state: State) -> Tensor:
        """``(n,)`` rad by which the thing is to be turned yet, 0 to 2 pi."""
        return angle_between(state.object_quaternion, state.goal_quaternion)

    def success(self, state: State) -> Tensor:
        """``(n,)`` bools."""
        return (self.distance(state) < self.position_reached) & (self.rotation(state) < ROTATION_REACHED)

    def fitness(self, episode: Episodes) -> Tensor:
        return self.success(State(episode.layout, episode.states[-1])).to(torch.float32)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        terms = {"position": -POSITION_WEIGHT * self.distance(next_state), "rotation": -self.rotation(next_state)}
        return terms["position"] + terms["rotation"], terms

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        success = self.success(next_state).to(action.dtype)
        return success, {"success": success}


def attitudes(generator: WorldRandom) -> Tensor:
    """``(k, 4)``: turns by any angle about an axis towards a point drawn from a cube, as the package draws them."""
    half = 0.5 * generator.uniform(-math.pi, math.pi)[:, None]
    axis = generator.uniform(-1.0, 1.0, 3)
    return torch.cat([torch.cos(half), torch.sin(half) * axis / axis.norm(dim=-1, keepdim=True)], dim=-1)


def angle_between(one: Tensor, other: Tensor) -> Tensor:
    """``(n,)`` rad, 0 to 2 pi, of the turn between unit quaternions ``(n, 4)``; twice the arccosine, but exact at 0.

    As in the package, a quaternion and its negative are not the same here, though they are the same attitude.
    """
    conjugate = torch.cat([other[:, :1], -other[:, 1:]], dim=-1)
    turn = quaternion_product(one, conjugate)
    return 2.0 * torch.atan2(turn[:, 1:].norm(dim=-1), turn[:, 0])


def along_z(quaternion: Tensor) -> Tensor:
    """``(n, 3)``: where the z axis, along which a pen lies, points after the turns ``(n, 4)``."""
    w, x, y, z = quaternion.unbind(-1)
    return torch.stack([2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)], dim=-1)


def angle_of(one: Tensor, other: Tensor) -> Tensor:
    """``(n,)`` rad, 0 to pi, between unit vectors ``(n, 3)``."""
    return torch.atan2(torch.linalg.cross(one, other).norm(dim=-1), (one * other).sum(-1))


def matrix_of(quaternion: Tensor) -> Tensor:
    """``(n, 3, 3)`` of unit quaternions ``(n, 4)``."""
    w, x, y, z = quaternion.unbind(-1)
    rows = [
        torch.stack([1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)], dim=-1),
        torch.stack([2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)], dim=-1),
        torch.stack([2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)], dim=-1),
    ]
    return torch.stack(rows, dim=1)


def quaternion_of(angles: Tensor) -> Tensor:
    """``(n, 4)`` of angles ``(n, 3)`` as ``euler_angles`` gives them."""
    (c1, c2, c3), (s1, s2, s3) = torch.cos(0.5 * angles).unbind(-1), torch.sin(0.5 * angles).unbind(-1)
    return torch.stack(
        [
            c1 * c2 * c3 - s1 * s2 * s3,
            s1 * c2 * c3 + c1 * s2 * s3,
            c1 * s2 * c3 - s1 * c2 * s3,
            c1 * c2 * s3 + s1 * s2 * c3,
        ],
        dim=-1,
    )


@register("shadow_hand/block")
class ShadowHandBlock(ShadowHandTask):
    description = (
        "A robot hand lies on its back with a cube on its palm. With its fingers and wrist it should bring the cube to "
        "a goal near the palm and into an attitude, both others in every episode, and hold it there at the end."
    )
    fitness_meaning = "whether the cube is within 1 cm and 0.1 rad of its goal at the end of the 4 s"
    expert_source = "Gymnasium-Robotics, HandManipulateBlockDense-v1"
    scene = "manipulate_block.xml"


@register("shadow_hand/egg")
class ShadowHandEgg(ShadowHandTask):
    description = (
        "A robot hand lies on its back with an egg-shaped body on its palm. With its fingers and wrist it should bring "
        "the egg to a goal near the palm and into an attitude, both others in every episode, and hold it there at the "
        "end."
    )
    fitness_meaning = "whether the egg is within 1 cm and 0.1 rad of its goal at the end of the 4 s"
    expert_source = "Gymnasium-Robotics, HandManipulateEggDense-v1"
    scene = "manipulate_egg.xml"


@register("shadow_hand/pen")
class ShadowHandPen(ShadowHandTask):
    description = (
        "A robot hand lies on its back with a pen on its palm. With its fingers and wrist it should bring the pen to a "
        "goal near the palm and point it in a wanted direction, both others in every episode, and hold it there at the "
        "end; how the pen is turned about its own axis does not matter."
    )
    fitness_meaning = "whether the pen is within 5 cm and 0.1 rad of its goal at the end of the 4 s"
    expert_source = "Gymnasium-Robotics, HandManipulatePenDense-v1"
    scene = "manipulate_pen.xml"
    turned_at_start = False
    position_reached = 0.05

    def rotation(self, state: State) -> Tensor:
        """The turn about the last of the three angles is left out, as the package leaves it out."""
        angles = euler_angles(matrix_of(state.object_quaternion))
        wanted = euler_angles(matrix_of(state.goal_quaternion))
        free = quaternion_of(torch.cat([angles[:, :2], wanted[:, 2:]], dim=-1))
        return angle_between(free, state.goal_quaternion)


class PenGoals(ShadowHandTask):
    """Eureka's pen spinning (Ma et al., 2024): whenever the pen points as wanted, the next direction is wanted.

    How many were reached stands in ``userdata``, with the number that the random goals of that episode follow from.
    """

    group = "eureka"
    fields = (
        *ShadowHandTask.fields,
        Field("pen_direction", (3,), "1", "unit vector along the pen, world frame"),
        Field("goal_direction", (3,), "1", "unit vector along which the pen should lie; changes when it does"),
        Field("goals_reached", (), "1", "how many goals the pen has reached in this episode"),
    )
    horizon = 200
    fitness_unit = "goals"
    fitness_meaning = (
        "goals reached one after the other in 8 s, or until the pen is dropped (Eureka's consecutive successes)"
    )
    fitness_range = (0.0, 200.0)
    expert_source = (
        "Isaac Gym, ShadowHand, which Eureka's pen spinning builds on: 1 / (angle left + 0.1), minus 10 times the "
        "distance to the goal, minus 0.0002 times the squared action, plus 250 for each goal"
    )
    scene = "manipulate_pen.xml"
    turned_at_start = False

    def make_model(self) -> mujoco.MjModel:
        spec = self.make_spec()
        spec.nuserdata = 2
        return spec.compile()

    @abstractmethod
    def next_goal(self, sim: Simulator, ids: Tensor) -> Tensor:
        """The attitude that the pens of the worlds ``ids`` ``(k,)`` are to take next, ``(k, 4)``."""

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        super().reset(sim, ids, generator)
        data = sim.field("userdata")
        data[ids, 0] = 0.0
        data[ids, 1] = torch.floor(generator.uniform(0.0, 2.0**31)).to(data)
        sim.field("mocap_pos")[ids, 0] = sim.field("qpos")[ids, 24:27]
        sim.field("mocap_quat")[ids, 0] = sim.field("qpos")[ids, 27:31]
        sim.field("mocap_quat")[ids, 0] = self.next_goal(sim, ids)

    def advance(self, sim: Simulator, action: Tensor) -> None:
        super().advance(sim, action)
        pen, goal = sim.field("qpos")[:, 27:31], sim.field("mocap_quat")[:, 0]
        reached = (angle_of(along_z(pen), along_z(goal)) <= PEN_REACHED).nonzero().squeeze(-1)
        if len(reached):
            sim.field("userdata")[reached, 0] += 1.0
            sim.field("mocap_quat")[reached, 0] = self.next_goal(sim, reached)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        seen = hand_and_thing(sim)
        return {
            **seen,
            "pen_direction": along_z(seen["object_quaternion"]),
            "goal_direction": along_z(seen["goal_quaternion"]),
            "goals_reached": sim.field("userdata")[:, 0],
        }

    def observation(self, state: State) -> Tensor:
        """As the other tasks', with the two directions; how many goals were reached is not for the policy."""
        directions = [state.pen_direction, state.goal_direction]
        return torch.cat([super().observation(state), *directions], dim=-1)

    def terminations(self, state: State) -> dict[str, Tensor]:
        return {"pen dropped": (state.object_position - state.goal_position).norm(dim=-1) >= PEN_DROPPED}

    def fitness(self, episode: Episodes) -> Tensor:
        return episode.last("goals_reached")

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        # of the goal that the action was taken for: where that was reached, next_state shows another one
        left = angle_of(next_state.pen_direction, state.goal_direction)
        terms = {
            "turn": 1.0 / (left + PEN_TURN_MARGIN),
            "place": -PEN_PLACE_WEIGHT * (next_state.object_position - state.goal_position).norm(dim=-1),
            "control": -PEN_CONTROL_COST * action.square().sum(-1),
            "goal": PEN_GOAL_BONUS * (next_state.goals_reached - state.goals_reached),
        }
        return terms["turn"] + terms["place"] + terms["control"] + terms["goal"], terms

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        goal = next_state.goals_reached - state.goals_reached
        return goal, {"goal": goal}


@register("shadow_hand/pen_reorient")
class ShadowHandPenReorient(PenGoals):
    """The first of Eureka's two stages."""

    description = (
        "A robot hand lies on its back with a pen on its palm. With its fingers and wrist it should turn the pen, "
        "without dropping it, until it lies along the wanted direction within 0.2 rad; then another direction is "
        "wanted, drawn at random, and so on: as many as it can in 8 s. The episode ends when the pen is dropped."
    )
    success_threshold = PEN_GOALS

    def next_goal(self, sim: Simulator, ids: Tensor) -> Tensor:
        count, number = sim.field("userdata")[ids].long().unbind(-1)
        return attitudes(WorldRandom(number, count)).to(sim.field("mocap_quat"))


@register("shadow_hand/pen_spin")
class ShadowHandPenSpin(PenGoals):
    """The second of Eureka's two stages."""

    description = (
        "A robot hand lies on its back with a pen on its palm. With its fingers and wrist it should spin the pen over "
        "the palm, without dropping it: the wanted direction is 30 degrees further about the vertical axis whenever "
        "the pen lies along it within 0.2 rad, as often as it can in 8 s. The episode ends when the pen is dropped."
    )
    success_threshold = PEN_WHOLE_TURN

    def next_goal(self, sim: Simulator, ids: Tensor) -> Tensor:
        goal = sim.field("mocap_quat")[ids, 0]
        turn = torch.zeros_like(goal)
        turn[:, 0], turn[:, 3] = math.cos(0.5 * PEN_STEP), math.sin(0.5 * PEN_STEP)
        return quaternion_product(turn, goal)
