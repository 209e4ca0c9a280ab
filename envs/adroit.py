"""The Adroit hand of Rajeswaran et al. (2018), from Gymnasium-Robotics: door, hammer, pen and relocate.

Actions from -1 to 1 are scaled to the range of each position actuator. Bodies that the package moves by editing the
model at each reset (door frame, nail board, target pen, ball goal) are mocap bodies here, so that all worlds share one
model.

The expert rewards are the package's, with one correction: in its releases 1.2.1 to 1.4.2 the palm's distance has the
wrong sign for door, hammer and ball, so that keeping the palm away is rewarded. Here it is a cost, as in earlier
releases, the package's documentation and its fix (Gymnasium-Robotics, pull request 220).
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import (
    Episodes,
    Field,
    RewardAndTerms,
    Simulator,
    State,
    UnitActions,
    WorldRandom,
    euler_angles,
    register,
)

STIFFNESS = {("A_WRJ1", "A_WRJ0"): 10.0, ("A_FFJ3", "A_THJ0"): 1.0}
"""N m/rad: stiffness of the position actuators from the first to the last name, as set by the package."""

REACH_COST = 0.1  # expert rewards: per m from the palm to the object to grasp

DOOR_AT = ((-0.3, -0.2), (0.25, 0.35), (0.252, 0.35))  # m: range of the frame's position along x, y and z
DOOR_OPEN = 1.35  # rad: the door counts as open from this angle
DOOR_WIDE = 1.57  # rad: expert reward: target angle
DOOR_COST = 0.1  # expert reward: per rad² from DOOR_WIDE
DOOR_EFFORT = 1e-5  # expert reward: per unit of squared velocities
DOOR_BONUSES = ((0.2, 2.0), (1.0, 8.0), (DOOR_OPEN, 10.0))  # expert reward: (angle, bonus beyond it)
DOOR_SEEN_OPEN = 1.0  # rad: beyond this angle the door flag of the observation is 1, otherwise -1

BOARD_HEIGHT = (0.1, 0.25)  # m: range of the nail board's height
NAIL_IN = 0.01  # m: the nail is driven in within this distance of its goal
NAIL_COST = 10.0  # expert reward: per m from the nail to its goal
HAMMER_EFFORT = 1e-2  # expert reward: per unit of the velocities' norm
LIFTED = 0.04  # m: height above which hammer or ball counts as lifted
LIFT_BONUS = 2.0  # expert reward: for a lifted hammer
NAIL_BONUSES = ((0.02, 25.0), (NAIL_IN, 75.0))  # expert reward: (distance, bonus within it)
SEEN = 1.0  # m/s, rad/s and N: clip of hammer velocities and nail force in the observation

PEN_NEAR = 0.075  # m: the pen counts as held within this distance of its place over the palm
PEN_ALIGNED = 0.95  # cosine beyond which the pen counts as aligned with the goal
PEN_BONUSES = ((0.9, 10.0), (PEN_ALIGNED, 50.0))  # expert reward: (cosine, bonus beyond it)
PEN_DROPPED = 0.075  # m: height below which the pen counts as dropped
PEN_DROP_COST = 5.0  # expert reward: for a dropped pen
PEN_TILT = 1.0  # rad: largest rotation of the goal direction about x and about y

BALL_AT = ((-0.15, 0.15), (-0.15, 0.3))  # m: range of the ball's start along x and y
BALL_GOAL = ((-0.2, 0.2), (-0.2, 0.2), (0.15, 0.35))  # m: range of the goal along x, y and z
BALL_THERE = 0.1  # m: the ball is at its goal within this distance
BALL_COST = 0.5  # expert reward: per m from a lifted ball to the goal and from the palm to the goal
BALL_LIFT_BONUS = 1.0  # expert reward: for a lifted ball
BALL_BONUSES = ((BALL_THERE, 10.0), (0.05, 20.0))  # expert reward: (distance, bonus within it)

FINGERS = "then of wrist, first, middle, ring and little finger and thumb, each from its base to its tip"


class AdroitTask(UnitActions):
    """Base of the four tasks: 200 steps of 0.01 s, success in the last state as fitness."""

    group = "robotics"
    package = ("gymnasium_robotics", "rewardgen[robotics]")
    frame_skip = 5
    horizon = 200
    fitness_unit = "success"
    fitness_range = (0.0, 1.0)
    success_threshold = 1.0

    scene: ClassVar[str]
    """File name of the model."""
    placed: ClassVar[str]
    """Name of the body without joints that gets another pose in each episode."""

    def make_model(self) -> mujoco.MjModel:
        """Compile the package's ``scene``, edited by ``edit``, with ``placed`` as a mocap body."""
        spec = mujoco.MjSpec.from_file(str(self.asset(f"envs/assets/adroit_hand/{self.scene}")))
        self.edit(spec)
        spec.body(self.placed).mocap = True
        model = spec.compile()
        for (first, last), stiffness in STIFFNESS.items():
            rows = slice(model.actuator(first).id, model.actuator(last).id + 1)
            model.actuator_gainprm[rows, :3] = (stiffness, 0.0, 0.0)
            model.actuator_biasprm[rows, :3] = (0.0, -stiffness, 0.0)
        return model

    def edit(self, spec: mujoco.MjSpec) -> None:
        """Change the model's spec before it is compiled; by default nothing."""

    @cached_property
    def _place(self) -> int:
        return int(self.model.body(self.placed).mocapid[0])

    def site(self, sim: Simulator, name: str) -> Tensor:
        """Return the position of the site ``name``, ``(num_worlds, 3)`` m, world frame."""
        return sim.field("site_xpos")[:, sim.model.site(name).id]

    def body(self, sim: Simulator, name: str) -> Tensor:
        """Return the position of the body ``name``, ``(num_worlds, 3)`` m, world frame."""
        return sim.field("xpos")[:, sim.model.body(name).id]

    def success(self, state: State) -> Tensor:
        """Return whether the task is solved in each state, ``(n,)`` bools."""
        raise NotImplementedError

    def fitness(self, episode: Episodes) -> Tensor:
        """Return 1 where the last state is a success, else 0, ``(n,)``."""
        return self.success(State(episode.layout, episode.states[-1])).to(torch.float32)

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps that end in a success."""
        success = self.success(next_state).to(action.dtype)
        return success, {"success": success}


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Return the distances between points ``(n, 3)``, ``(n,)`` m."""
    return (one - other).norm(dim=-1)


@register("adroit/door")
class AdroitDoor(AdroitTask):
    """Gymnasium-Robotics' AdroitHandDoor-v1: 28 position actuators."""

    description = (
        "A robot hand with five fingers, on an arm that turns about three axes and moves forward, hangs before a door, "
        "which stands somewhere else in every episode. It should undo the latch by turning the handle and swing the "
        "door open."
    )
    fields = (
        Field("joint_angles", (28,), "m, rad", f"way of the arm forward (m), its three angles, {FINGERS}"),
        Field("joint_velocities", (28,), "m/s, rad/s", "rates of change of joint_angles, in the same order"),
        Field("door_angle", (), "rad", "how far the door is open, 0 shut"),
        Field("door_velocity", (), "rad/s", "rate of change of door_angle"),
        Field("latch_angle", (), "rad", "how far handle and latch are turned, 0 latched"),
        Field("latch_velocity", (), "rad/s", "rate of change of latch_angle"),
        Field("palm_position", (3,), "m", "the palm's middle, world frame, z up"),
        Field("handle_position", (3,), "m", "the end of the door's handle, world frame"),
    )
    fitness_meaning = "whether the door is open by 1.35 rad or more at the end of the 2 s"
    expert_source = "Gymnasium-Robotics, AdroitHandDoor-v1, the palm's distance with the sign that its pages give"
    scene = "adroit_door.xml"
    placed = "frame"

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw the position of the door's frame."""
        place = torch.stack([generator.uniform(low, high) for low, high in DOOR_AT], dim=-1)
        sim.field("mocap_pos")[ids, self._place] = place

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read arm and hand, door and latch from ``qpos`` and ``qvel``, palm and handle from their sites."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        return {
            "joint_angles": qpos[:, :28],
            "joint_velocities": qvel[:, :28],
            "door_angle": qpos[:, 28],
            "door_velocity": qvel[:, 28],
            "latch_angle": qpos[:, 29],
            "latch_velocity": qvel[:, 29],
            "palm_position": self.site(sim, "S_grasp"),
            "handle_position": self.site(sim, "S_handle"),
        }

    def observation(self, state: State) -> Tensor:
        """Return the package's observation, ``(n, 39)``, with a flag for an open door."""
        seen_open = torch.where(state.door_angle > DOOR_SEEN_OPEN, 1.0, -1.0)
        return torch.cat(
            [
                state.joint_angles[:, 1:],
                state.latch_angle[:, None],
                state.door_angle[:, None],
                state.palm_position,
                state.handle_position,
                state.palm_position - state.handle_position,
                seen_open[:, None],
            ],
            dim=-1,
        )

    def success(self, state: State) -> Tensor:
        """Return whether the door is open by 1.35 rad or more, ``(n,)`` bools."""
        return state.door_angle >= DOOR_OPEN

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the package's reward: bonuses for opening, minus palm distance, angle and effort costs."""
        angle = next_state.door_angle
        effort = next_state.joint_velocities.square().sum(-1)
        effort = effort + next_state.door_velocity.square() + next_state.latch_velocity.square()
        terms = {
            "reach": -REACH_COST * distance(next_state.palm_position, next_state.handle_position),
            "open": -DOOR_COST * (angle - DOOR_WIDE).square(),
            "effort": -DOOR_EFFORT * effort,
            "bonus": sum(bonus * (angle > beyond).to(action.dtype) for beyond, bonus in DOOR_BONUSES),
        }
        return terms["reach"] + terms["open"] + terms["effort"] + terms["bonus"], terms


@register("adroit/hammer")
class AdroitHammer(AdroitTask):
    """Gymnasium-Robotics' AdroitHandHammer-v1: 26 position actuators."""

    description = (
        "A robot hand with five fingers, on an arm that turns about two axes, hangs over a table with a hammer on it. "
        "A nail sticks out of a board beyond it, at another height in every episode. The hand should take the hammer "
        "and drive the nail all the way in."
    )
    fields = (
        Field("joint_angles", (26,), "rad", f"the two angles of the arm, {FINGERS}"),
        Field("joint_velocities", (26,), "rad/s", "rates of change of joint_angles, in the same order"),
        Field("nail_depth", (), "m", "how far the nail has been driven in"),
        Field("nail_velocity", (), "m/s", "rate of change of nail_depth"),
        Field("nail_impact", (), "N", "force on the head of the nail"),
        Field("nail_position", (3,), "m", "the head of the nail, world frame, z up"),
        Field("nail_goal_position", (3,), "m", "where the head of the nail should get to"),
        Field("palm_position", (3,), "m", "the palm's middle, world frame"),
        Field("hammer_position", (3,), "m", "the middle of the hammer's handle, world frame"),
        Field("hammer_rotation", (3,), "rad", "Euler angles of the hammer about x, y and z"),
        Field("hammer_velocity", (3,), "m/s", "velocity of the hammer along the axes that it had when it lay there"),
        Field("hammer_rotation_rates", (3,), "rad/s", "rates of the three angles that it has turned since, one by one"),
        Field("hammer_head_position", (3,), "m", "the hammer's striking face, world frame"),
    )
    fitness_meaning = "whether the nail is within 1 cm of where it should be at the end of the 2 s"
    expert_source = "Gymnasium-Robotics, AdroitHandHammer-v1, the palm's distance with the sign that its pages give"
    scene = "adroit_hammer.xml"
    placed = "nail_board"

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw the height of the nail's board."""
        sim.field("mocap_pos")[ids, self._place, 2] = generator.uniform(*BOARD_HEIGHT)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read arm, hand and nail, the nail's force sensor, and the hammer's pose and velocities."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        turned = sim.field("xmat")[:, sim.model.body("Object").id].reshape(-1, 3, 3)
        return {
            "joint_angles": qpos[:, :26],
            "joint_velocities": qvel[:, :26],
            "nail_depth": qpos[:, 26],
            "nail_velocity": qvel[:, 26],
            "nail_impact": sim.field("sensordata")[:, sim.model.sensor("S_nail").adr[0]],
            "nail_position": self.site(sim, "S_target"),
            "nail_goal_position": self.site(sim, "nail_goal"),
            "palm_position": self.site(sim, "S_grasp"),
            "hammer_position": self.body(sim, "Object"),
            "hammer_rotation": euler_angles(turned),
            "hammer_velocity": qvel[:, 27:30],
            "hammer_rotation_rates": qvel[:, 30:33],
            "hammer_head_position": self.site(sim, "tool"),
        }

    def observation(self, state: State) -> Tensor:
        """Return the package's observation, ``(n, 46)``, with clipped hammer velocities and nail force."""
        return torch.cat(
            [
                state.joint_angles,
                state.nail_depth[:, None],
                state.hammer_velocity.clamp(-SEEN, SEEN),
                state.hammer_rotation_rates.clamp(-SEEN, SEEN),
                state.palm_position,
                state.hammer_position,
                state.hammer_rotation,
                state.nail_position,
                state.nail_impact[:, None].clamp(-SEEN, SEEN),
            ],
            dim=-1,
        )

    def success(self, state: State) -> Tensor:
        """Return whether the nail is within 0.01 m of its goal, ``(n,)`` bools."""
        return distance(state.nail_position, state.nail_goal_position) < NAIL_IN

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the package's reward: bonuses for lifting and driving, minus distances and effort."""
        nail = distance(next_state.nail_position, next_state.nail_goal_position)
        hammer, head = next_state.hammer_position, next_state.hammer_head_position
        lifted = (hammer[:, 2] > LIFTED) & (head[:, 2] > LIFTED)
        velocities = torch.cat(
            [
                next_state.joint_velocities,
                next_state.nail_velocity[:, None],
                next_state.hammer_velocity,
                next_state.hammer_rotation_rates,
            ],
            dim=-1,
        )
        terms = {
            "reach": -REACH_COST * distance(next_state.palm_position, hammer),
            "aim": -distance(head, next_state.nail_position),
            "drive": -NAIL_COST * nail,
            "effort": -HAMMER_EFFORT * velocities.norm(dim=-1),
            "lift": LIFT_BONUS * lifted.to(action.dtype),
            "bonus": sum(bonus * (nail < within).to(action.dtype) for within, bonus in NAIL_BONUSES),
        }
        return sum(terms.values()), terms


@register("adroit/pen")
class AdroitPen(AdroitTask):
    """Gymnasium-Robotics' AdroitHandPen-v1: 24 position actuators."""

    description = (
        "A robot hand with five fingers lies on its back, fixed at the forearm, with a pen on its palm. It should turn "
        "the pen in the hand, without dropping it, until it points in a wanted direction, another one in every episode."
    )
    fields = (
        Field(
            "joint_angles", (24,), "rad", "wrist, first, middle, ring and little finger and thumb, each from its base"
        ),
        Field("joint_velocities", (24,), "rad/s", "rates of change of joint_angles, in the same order"),
        Field("pen_position", (3,), "m", "the pen's middle, world frame, z up"),
        Field("pen_offset", (3,), "m", "pen_position, from the place over the palm where it should be held"),
        Field("pen_velocity", (3,), "m/s", "velocity of the pen along the axes that it had at the start"),
        Field("pen_rotation_rates", (3,), "rad/s", "rates of the three angles that it has turned since, one by one"),
        Field("pen_direction", (3,), "1", "unit vector along the pen"),
        Field("goal_direction", (3,), "1", "unit vector along which the pen should point"),
    )
    fitness_meaning = "whether the pen is held, its direction within 18 degrees of the wanted, at the end of the 2 s"
    expert_source = "Gymnasium-Robotics, AdroitHandPen-v1"
    scene = "adroit_pen.xml"
    placed = "target"

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw the goal direction: rotations of up to 1 rad about x and about y."""
        half = 0.5 * generator.uniform(-PEN_TILT, PEN_TILT, 2)
        (cos_x, cos_y), (sin_x, sin_y) = torch.cos(half).unbind(-1), torch.sin(half).unbind(-1)
        turn = torch.stack([cos_x * cos_y, sin_x * cos_y, cos_x * sin_y, sin_x * sin_y], dim=-1)
        sim.field("mocap_quat")[ids, self._place] = turn

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read hand and pen; directions are unit vectors between the sites at the pens' ends."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        pen = self.site(sim, "object_top") - self.site(sim, "object_bottom")
        goal = self.site(sim, "target_top") - self.site(sim, "target_bottom")
        return {
            "joint_angles": qpos[:, :24],
            "joint_velocities": qvel[:, :24],
            "pen_position": self.body(sim, "Object"),
            "pen_offset": self.body(sim, "Object") - self.site(sim, "eps_ball"),
            "pen_velocity": qvel[:, 24:27],
            "pen_rotation_rates": qvel[:, 27:30],
            "pen_direction": pen / pen.norm(dim=-1, keepdim=True),
            "goal_direction": goal / goal.norm(dim=-1, keepdim=True),
        }

    def observation(self, state: State) -> Tensor:
        """Return the package's observation, ``(n, 45)``: no joint velocities."""
        return torch.cat(
            [
                state.joint_angles,
                state.pen_position,
                state.pen_velocity,
                state.pen_rotation_rates,
                state.pen_direction,
                state.goal_direction,
                state.pen_offset,
                state.pen_direction - state.goal_direction,
            ],
            dim=-1,
        )

    def alignment(self, state: State) -> Tensor:
        """Return the cosine of the angle between the pen's direction and the goal's, ``(n,)``."""
        return (state.pen_direction * state.goal_direction).sum(-1)

    def success(self, state: State) -> Tensor:
        """Return whether the pen is held within 0.075 m and aligned beyond 0.95, ``(n,)`` bools."""
        return (state.pen_offset.norm(dim=-1) < PEN_NEAR) & (self.alignment(state) > PEN_ALIGNED)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the package's reward: alignment with bonuses, minus offset and a cost of dropping."""
        away, aligned = next_state.pen_offset.norm(dim=-1), self.alignment(next_state)
        near = (away < PEN_NEAR).to(action.dtype)
        terms = {
            "hold": -away,
            "turn": aligned,
            "bonus": near * sum(bonus * (aligned > beyond).to(action.dtype) for beyond, bonus in PEN_BONUSES),
            "drop": -PEN_DROP_COST * (next_state.pen_position[:, 2] < PEN_DROPPED).to(action.dtype),
        }
        return sum(terms.values()), terms


@register("adroit/relocate")
class AdroitRelocate(AdroitTask):
    """Gymnasium-Robotics' AdroitHandRelocate-v1: 30 position actuators."""

    description = (
        "A robot hand with five fingers, on an arm that moves and turns along and about three axes, hangs over a table "
        "on which a ball lies. It should take the ball and carry it to a goal in the air; ball and goal lie somewhere "
        "else in every episode."
    )
    fields = (
        Field("joint_angles", (30,), "m, rad", f"the arm's three ways (m), its three angles, {FINGERS}"),
        Field("joint_velocities", (30,), "m/s, rad/s", "rates of change of joint_angles, in the same order"),
        Field("palm_position", (3,), "m", "the palm's middle, world frame, z up"),
        Field("ball_position", (3,), "m", "the ball's middle, world frame"),
        Field("ball_velocity", (3,), "m/s", "velocity of the ball, world frame"),
        Field("goal_position", (3,), "m", "where the ball should be, world frame"),
    )
    fitness_meaning = "whether the ball is within 10 cm of its goal at the end of the 2 s"
    expert_source = "Gymnasium-Robotics, AdroitHandRelocate-v1, the palm's distance with the sign that its pages give"
    scene = "adroit_relocate.xml"
    placed = "goal"

    def edit(self, spec: mujoco.MjSpec) -> None:
        """Replace the site that marks the goal by a mocap body."""
        drawn = spec.site("target")
        goal = spec.worldbody.add_body(name="goal", mocap=True)
        goal.add_site(name="goal", size=drawn.size, rgba=drawn.rgba)
        spec.delete(drawn)

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw the ball's position on the table and the goal's in the air."""
        # The package moves the ball's body; moving its slide joints, which start at 0, is equivalent.
        sim.field("qpos")[ids, 30:32] = torch.stack([generator.uniform(*ends) for ends in BALL_AT], dim=-1)
        goal = torch.stack([generator.uniform(*ends) for ends in BALL_GOAL], dim=-1)
        sim.field("mocap_pos")[ids, self._place] = goal

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read arm and hand, palm site, ball, and the goal's mocap body."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        return {
            "joint_angles": qpos[:, :30],
            "joint_velocities": qvel[:, :30],
            "palm_position": self.site(sim, "S_grasp"),
            "ball_position": self.body(sim, "Object"),
            "ball_velocity": qvel[:, 30:33],
            "goal_position": sim.field("mocap_pos")[:, self._place],
        }

    def observation(self, state: State) -> Tensor:
        """Return the package's observation, ``(n, 39)``: joints and the offsets palm, ball, goal."""
        return torch.cat(
            [
                state.joint_angles,
                state.palm_position - state.ball_position,
                state.palm_position - state.goal_position,
                state.ball_position - state.goal_position,
            ],
            dim=-1,
        )

    def success(self, state: State) -> Tensor:
        """Return whether the ball is within 0.1 m of its goal, ``(n,)`` bools."""
        return distance(state.ball_position, state.goal_position) < BALL_THERE

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the package's reward: bonuses for lifting and arriving, minus distances."""
        palm, ball, goal = next_state.palm_position, next_state.ball_position, next_state.goal_position
        lifted = (ball[:, 2] > LIFTED).to(action.dtype)
        away = distance(ball, goal)
        terms = {
            "reach": -REACH_COST * distance(palm, ball),
            "lift": BALL_LIFT_BONUS * lifted,
            "carry": -BALL_COST * lifted * (distance(palm, goal) + away),
            "bonus": sum(bonus * (away < within).to(action.dtype) for within, bonus in BALL_BONUSES),
        }
        return sum(terms.values()), terms
