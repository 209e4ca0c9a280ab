"""The Shadow Dexterous Hand with an object on its palm, from Gymnasium-Robotics' HandManipulate environments.

Actions from -1 to 1 are scaled to the range of each of 20 position actuators. The goal, a pose of the object, is the
pose of a mocap body. The package drops the object and lets it settle at each reset; here that is done ``STARTS`` times
before the first episode, and each episode draws one of these starts and a goal. Source: Plappert et al., "Multi-Goal
Reinforcement Learning" (2018). The last two tasks are Eureka's pen spinning (Ma et al., 2024) on this hand.
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
OBJECT = slice(24, 31)  # columns of qpos: the object's position, quaternion
SETTLING = 10  # control steps in which the object settles on the palm
ON_PALM = 0.04  # m: an object that settles lower has fallen off the palm
STARTS = 128  # settled starts; each episode draws one
START_SPREAD = 0.005  # m: standard deviation of the drop position
GOAL_OFFSET = ((-0.04, 0.04), (-0.06, 0.02), (0.0, 0.06))  # m: range of goal minus start, along x, y, z
ROTATION_REACHED = 0.1  # rad: the orientation is reached within this angle
POSITION_WEIGHT = 10.0  # rad/m: expert reward: weight of the distance
EYE = (0.69, 0.5, 0.4)  # m: camera position, near the hand and on the side of the package's camera
EYE_AXES = (0.819, -0.574, 0.0, 0.243, 0.346, 0.906)  # right and up axes of the camera

PEN_REACHED = 0.2  # rad: spinning: goal direction reached within this angle; roll is free
PEN_DROPPED = 0.24  # m: spinning: terminates at this distance from where the pen lay
PEN_STEP = math.radians(30.0)  # pen_spin: angle from one goal to the next
PEN_GOALS = 3.0  # pen_reorient: success threshold; one goal may be near the start, one met by chance
PEN_WHOLE_TURN = 12.0  # goals, pen_spin: success threshold, one full turn
PEN_TURN_MARGIN = 0.1  # rad: spinning expert reward: added to the angle
PEN_PLACE_WEIGHT, PEN_CONTROL_COST, PEN_GOAL_BONUS = 10.0, 0.0002, 250.0  # reward: per m, per squared action, per goal


def hand_and_thing(sim: Simulator) -> dict[str, Tensor]:
    """Read the fields that all tasks have: joints, object and goal."""
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
    """Base of all tasks: 100 steps of 0.04 s, success in the last state as fitness."""

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
    """File name of the model."""
    turned_at_start: ClassVar[bool] = True
    """Whether the object is dropped in a random orientation."""
    position_reached: ClassVar[float] = 0.01
    """Distance within which the goal position is reached, m."""

    def make_model(self) -> mujoco.MjModel:
        """Compile the spec of ``make_spec``."""
        return self.make_spec().compile()

    def make_spec(self) -> mujoco.MjSpec:
        """Return the package's ``scene`` with the goal as a mocap body and a camera beside the hand."""
        spec = mujoco.MjSpec.from_file(str(self.asset(f"envs/assets/hand/{self.scene}")))
        spec.delete(spec.joint("target:joint"))
        spec.body("target").mocap = True
        camera = spec.worldbody.add_camera(name="beside", pos=EYE)
        camera.alt.type, camera.alt.xyaxes = mujoco.mjtOrientation.mjORIENTATION_XYAXES, EYE_AXES
        return spec

    @cached_property
    def _settled(self) -> tuple[Tensor, Tensor]:
        """``qpos`` and ``qvel`` after settling, ``(k, ...)`` with ``k`` at most ``STARTS``, without failed drops."""
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
        """Draw one of the settled starts and a goal pose around it."""
        qpos, qvel, place = sim.field("qpos"), sim.field("qvel"), sim.field("mocap_pos")
        starts, velocities = (values.to(qpos) for values in self._settled)
        chosen = (generator.uniform(0.0, 1.0) * len(starts)).long().clamp(max=len(starts) - 1)
        qpos[ids], qvel[ids] = starts[chosen], velocities[chosen]
        offset = torch.stack([generator.uniform(low, high) for low, high in GOAL_OFFSET], dim=-1)
        place[ids, 0] = starts[chosen, 24:27] + offset.to(qpos)
        sim.field("mocap_quat")[ids, 0] = attitudes(generator).to(qpos)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Return the fields of ``hand_and_thing``."""
        return hand_and_thing(sim)

    def observation(self, state: State) -> Tensor:
        """Return the package's achieved goal, desired goal and observation, in that order, ``(n, 75)``."""
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
        """Return the distance from the object to its goal, ``(n,)`` m."""
        return (state.object_position - state.goal_position).norm(dim=-1)

    def rotation(self, state: State) -> Tensor:
        """Return the rotation left to the goal orientation, ``(n,)`` rad, 0 to 2 pi."""
        return angle_between(state.object_quaternion, state.goal_quaternion)

    def success(self, state: State) -> Tensor:
        """Return whether position and orientation are reached, ``(n,)`` bools."""
        return (self.distance(state) < self.position_reached) & (self.rotation(state) < ROTATION_REACHED)

    def fitness(self, episode: Episodes) -> Tensor:
        """Return 1 where the last state is a success, else 0, ``(n,)``."""
        return self.success(State(episode.layout, episode.states[-1])).to(torch.float32)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the package's dense reward: minus 10 times the distance, minus the rotation left."""
        terms = {"position": -POSITION_WEIGHT * self.distance(next_state), "rotation": -self.rotation(next_state)}
        return terms["position"] + terms["rotation"], terms

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps that end in a success."""
        success = self.success(next_state).to(action.dtype)
        return success, {"success": success}


def attitudes(generator: WorldRandom) -> Tensor:
    """Draw orientations as the package does: any angle about a random axis; ``(k, 4)`` unit quaternions.

    The axis points towards a point drawn uniformly from a cube.
    """
    half = 0.5 * generator.uniform(-math.pi, math.pi)[:, None]
    axis = generator.uniform(-1.0, 1.0, 3)
    return torch.cat([torch.cos(half), torch.sin(half) * axis / axis.norm(dim=-1, keepdim=True)], dim=-1)


def angle_between(one: Tensor, other: Tensor) -> Tensor:
    """Return the angle of the rotation between unit quaternions ``(n, 4)``, ``(n,)`` rad, 0 to 2 pi.

    Equals twice the arccosine of the real part, but is exact at 0. As in the package, a quaternion and its negative
    differ here, although they are the same orientation.
    """
    conjugate = torch.cat([other[:, :1], -other[:, 1:]], dim=-1)
    turn = quaternion_product(one, conjugate)
    return 2.0 * torch.atan2(turn[:, 1:].norm(dim=-1), turn[:, 0])


def along_z(quaternion: Tensor) -> Tensor:
    """Rotate the z axis, along which a pen lies, by unit quaternions ``(n, 4)``: ``(n, 3)``."""
    w, x, y, z = quaternion.unbind(-1)
    return torch.stack([2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)], dim=-1)


def angle_of(one: Tensor, other: Tensor) -> Tensor:
    """Return the angle between unit vectors ``(n, 3)``, ``(n,)`` rad, 0 to pi."""
    return torch.atan2(torch.linalg.cross(one, other).norm(dim=-1), (one * other).sum(-1))


def matrix_of(quaternion: Tensor) -> Tensor:
    """Convert unit quaternions ``(n, 4)`` to rotation matrices ``(n, 3, 3)``."""
    w, x, y, z = quaternion.unbind(-1)
    rows = [
        torch.stack([1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)], dim=-1),
        torch.stack([2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)], dim=-1),
        torch.stack([2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)], dim=-1),
    ]
    return torch.stack(rows, dim=1)


def quaternion_of(angles: Tensor) -> Tensor:
    """Convert Euler angles ``(n, 3)``, as ``euler_angles`` returns them, to quaternions ``(n, 4)``."""
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
    """Gymnasium-Robotics' HandManipulateBlockDense-v1."""

    description = (
        "A robot hand lies on its back with a cube on its palm. With its fingers and wrist it should bring the cube to "
        "a goal near the palm and into an attitude, both others in every episode, and hold it there at the end."
    )
    fitness_meaning = "whether the cube is within 1 cm and 0.1 rad of its goal at the end of the 4 s"
    expert_source = "Gymnasium-Robotics, HandManipulateBlockDense-v1"
    scene = "manipulate_block.xml"


@register("shadow_hand/egg")
class ShadowHandEgg(ShadowHandTask):
    """Gymnasium-Robotics' HandManipulateEggDense-v1."""

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
    """Gymnasium-Robotics' HandManipulatePenDense-v1: the rotation about the pen's axis is free."""

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
        """Return the rotation left without the last Euler angle, as in the package, ``(n,)`` rad, 0 to 2 pi."""
        angles = euler_angles(matrix_of(state.object_quaternion))
        wanted = euler_angles(matrix_of(state.goal_quaternion))
        free = quaternion_of(torch.cat([angles[:, :2], wanted[:, 2:]], dim=-1))
        return angle_between(free, state.goal_quaternion)


class PenGoals(ShadowHandTask):
    """Base of Eureka's pen spinning (Ma et al., 2024): each goal direction reached is replaced by the next.

    ``userdata`` holds the number of goals reached and the seed of the episode's random goals.
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
        """Compile the spec of ``make_spec`` with two numbers of ``userdata``."""
        spec = self.make_spec()
        spec.nuserdata = 2
        return spec.compile()

    @abstractmethod
    def next_goal(self, sim: Simulator, ids: Tensor) -> Tensor:
        """Return the next goal orientation of the worlds ``ids`` ``(k,)``, ``(k, 4)``."""

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw a settled start and a seed for the goals; the goal position is where the pen lies."""
        super().reset(sim, ids, generator)
        data = sim.field("userdata")
        data[ids, 0] = 0.0
        data[ids, 1] = torch.floor(generator.uniform(0.0, 2.0**31)).to(data)
        sim.field("mocap_pos")[ids, 0] = sim.field("qpos")[ids, 24:27]
        sim.field("mocap_quat")[ids, 0] = sim.field("qpos")[ids, 27:31]
        sim.field("mocap_quat")[ids, 0] = self.next_goal(sim, ids)

    def advance(self, sim: Simulator, action: Tensor) -> None:
        """Simulate one control step, then count goals reached and replace them."""
        super().advance(sim, action)
        pen, goal = sim.field("qpos")[:, 27:31], sim.field("mocap_quat")[:, 0]
        reached = (angle_of(along_z(pen), along_z(goal)) <= PEN_REACHED).nonzero().squeeze(-1)
        if len(reached):
            sim.field("userdata")[reached, 0] += 1.0
            sim.field("mocap_quat")[reached, 0] = self.next_goal(sim, reached)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Return the fields of ``hand_and_thing``, both directions and the number of goals reached."""
        seen = hand_and_thing(sim)
        return {
            **seen,
            "pen_direction": along_z(seen["object_quaternion"]),
            "goal_direction": along_z(seen["goal_quaternion"]),
            "goals_reached": sim.field("userdata")[:, 0],
        }

    def observation(self, state: State) -> Tensor:
        """Return the other tasks' observation and both directions, ``(n, 81)``; not the goals reached."""
        directions = [state.pen_direction, state.goal_direction]
        return torch.cat([super().observation(state), *directions], dim=-1)

    def terminations(self, state: State) -> dict[str, Tensor]:
        """End the episode when the pen is 0.24 m or more from the goal position."""
        return {"pen dropped": (state.object_position - state.goal_position).norm(dim=-1) >= PEN_DROPPED}

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the number of goals reached in the episode, ``(n,)``."""
        return episode.last("goals_reached")

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return Isaac Gym's ShadowHand reward, with terms for angle, position, control and goals reached."""
        # Measure against the goal of `state`: once it is reached, next_state holds the next goal.
        left = angle_of(next_state.pen_direction, state.goal_direction)
        terms = {
            "turn": 1.0 / (left + PEN_TURN_MARGIN),
            "place": -PEN_PLACE_WEIGHT * (next_state.object_position - state.goal_position).norm(dim=-1),
            "control": -PEN_CONTROL_COST * action.square().sum(-1),
            "goal": PEN_GOAL_BONUS * (next_state.goals_reached - state.goals_reached),
        }
        return terms["turn"] + terms["place"] + terms["control"] + terms["goal"], terms

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the number of goals reached in the step: 0 or 1."""
        goal = next_state.goals_reached - state.goals_reached
        return goal, {"goal": goal}


@register("shadow_hand/pen_reorient")
class ShadowHandPenReorient(PenGoals):
    """First of Eureka's two stages: random goals."""

    description = (
        "A robot hand lies on its back with a pen on its palm. With its fingers and wrist it should turn the pen, "
        "without dropping it, until it lies along the wanted direction within 0.2 rad; then another direction is "
        "wanted, drawn at random, and so on: as many as it can in 8 s. The episode ends when the pen is dropped."
    )
    success_threshold = PEN_GOALS

    def next_goal(self, sim: Simulator, ids: Tensor) -> Tensor:
        """Draw a random orientation from the episode's seed and the number of goals reached."""
        count, number = sim.field("userdata")[ids].long().unbind(-1)
        return attitudes(WorldRandom(number, count)).to(sim.field("mocap_quat"))


@register("shadow_hand/pen_spin")
class ShadowHandPenSpin(PenGoals):
    """Second of Eureka's two stages: goals that turn about the vertical axis."""

    description = (
        "A robot hand lies on its back with a pen on its palm. With its fingers and wrist it should spin the pen over "
        "the palm, without dropping it: the wanted direction is 30 degrees further about the vertical axis whenever "
        "the pen lies along it within 0.2 rad, as often as it can in 8 s. The episode ends when the pen is dropped."
    )
    success_threshold = PEN_WHOLE_TURN

    def next_goal(self, sim: Simulator, ids: Tensor) -> Tensor:
        """Rotate the current goal by 30 degrees about the vertical axis."""
        goal = sim.field("mocap_quat")[ids, 0]
        turn = torch.zeros_like(goal)
        turn[:, 0], turn[:, 3] = math.cos(0.5 * PEN_STEP), math.sin(0.5 * PEN_STEP)
        return quaternion_product(turn, goal)
