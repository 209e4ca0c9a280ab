"""A Fetch arm at a table, as Gymnasium-Robotics' Fetch environments (v4) have it: reach, push, slide, pick and place.

An action moves the gripper and, in the last task alone, its two fingers. World frame: x away from the robot, z up; the
gripper always points down. After Plappert et al., "Multi-Goal Reinforcement Learning" (2018).
"""

from __future__ import annotations

from collections.abc import Sequence
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
    Task,
    WorldRandom,
    euler_angles,
    register,
)

STRIDE = 0.05  # m: how far an action of 1 moves the gripper's target
DOWN = (1.0, 0.0, 1.0, 0.0)  # what each action adds to the gripper's orientation, a quaternion: it turns it downwards
AT_GOAL = 0.05  # m: what is to be brought to the goal counts as there within this distance
SETTLING = 10  # control steps that bring the gripper to where episodes start
FROM_FOLDED = (-0.498, 0.005, -0.431)  # m: that place, from the gripper's in the model's own pose
CLEARANCE = 0.1  # m: an object starts at least this far from the gripper, in the plane
CANDIDATES = 64  # places drawn for an object, of which the first with that clearance is taken
HIGHEST = 0.45  # m above the table: goals in the air lie below this
EYE = (2.5, -0.55, 1.05)  # m: where pictures are taken from, as far and from the side that the package's are
EYE_AXES = (0.743, 0.669, 0.0, -0.162, 0.18, 0.97)  # right and up of these pictures

FINGERS = ("robot0:r_gripper_finger_joint", "robot0:l_gripper_finger_joint")

GRIPPER_FIELDS = (
    Field("gripper_position", (3,), "m", "the point between the fingertips, world frame"),
    Field("gripper_velocity", (3,), "m/s", "its velocity"),
    Field("finger_positions", (2,), "m", "how far the right and the left finger are open"),
    Field("finger_velocities", (2,), "m/s", "rates of change of finger_positions"),
)
OBJECT_FIELDS = (
    Field("object_position", (3,), "m", "centre of the object, world frame"),
    Field("object_rotation", (3,), "rad", "Euler angles of the object about x, y and z"),
    Field("object_velocity", (3,), "m/s", "velocity of the object"),
    Field("object_angular_velocity", (3,), "rad/s", "angular velocity of the object, world frame"),
)


class FetchTask(Task):
    """What the four tasks share. The goal is the place of a mocap body, in the simulator's ``mocap_pos``."""

    group = "robotics"
    package = ("gymnasium_robotics", "rewardgen[robotics]")
    frame_skip = 20
    horizon = 50
    fitness_unit = "success"
    fitness_range = (0.0, 1.0)
    success_threshold = 1.0

    scene: ClassVar[str]
    """The model's file."""
    base: ClassVar[tuple[float, float, float]] = (0.405, 0.48, 0.0)
    """m: where the robot stands."""
    object_start: ClassVar[tuple[float, ...] | None] = (1.25, 0.53, 0.4, 1.0, 0.0, 0.0, 0.0)
    """Position (m) and quaternion that an object settles from; None: there is no object."""
    extra_height: ClassVar[float] = 0.0
    """m: how much higher than for pushing the gripper starts."""
    fingers_work: ClassVar[bool] = False
    """False: the fingers are held shut."""
    object_range: ClassVar[float] = 0.15
    """m: an object starts within this of the gripper, along x and along y."""
    goal_range: ClassVar[float] = 0.15
    """m: goals lie within this of ``goal_offset`` from the gripper's start, along each axis."""
    goal_offset: ClassVar[float] = 0.0
    """m: along x."""
    goals_in_the_air: ClassVar[bool] = False
    """True: every other goal for an object is above the table."""

    # ---- the model

    def make_model(self) -> mujoco.MjModel:
        spec = mujoco.MjSpec.from_file(str(self.asset(f"envs/assets/fetch/{self.scene}")))
        drawn = spec.site("target0")  # the package moves this site for each picture; here it goes with the goal
        goal = spec.worldbody.add_body(name="goal", mocap=True)
        goal.add_site(name="goal", size=drawn.size, rgba=drawn.rgba)
        spec.delete(drawn)
        # The robot's own camera, otherwise the first, is in its head and sees little but that.
        camera = spec.worldbody.add_camera(name="beside", pos=EYE)
        camera.alt.type, camera.alt.xyaxes = mujoco.mjtOrientation.mjORIENTATION_XYAXES, EYE_AXES
        model = spec.compile()
        # The gripper is welded to where the mocap body is, not to where both happen to be in the model's own pose.
        welds = model.eq_type == int(mujoco.mjtEq.mjEQ_WELD)
        model.eq_data[welds, :7] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
        return model

    @cached_property
    def action_low(self) -> Tensor:
        return -torch.ones(4)

    @cached_property
    def action_high(self) -> Tensor:
        return torch.ones(4)

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        last = "opening of the fingers" if self.fingers_work else "nothing (the fingers are held shut)"
        return "gripper along x", "gripper along y", "gripper along z", last

    @cached_property
    def _settled(self) -> mujoco.MjData:
        """The pose that episodes start from: the gripper drawn down to the table, an object come to rest on it."""
        model = self.model
        data = mujoco.MjData(model)
        for axis, value in enumerate(self.base):
            data.joint(f"robot0:slide{axis}").qpos = value
        if self.object_start is not None:
            data.joint("object0:joint").qpos = self.object_start
        mujoco.mj_forward(model, data)
        hand = int(model.body("robot0:mocap").mocapid[0])
        data.mocap_pos[hand] = data.site("robot0:grip").xpos + FROM_FOLDED
        data.mocap_pos[hand, 2] += self.extra_height
        data.mocap_quat[hand] = DOWN
        mujoco.mj_step(model, data, nstep=SETTLING * self.frame_skip)
        return data

    @cached_property
    def _start(self) -> dict[str, Tensor]:
        """Start values, by name, from ``_settled``: places as the last substep saw them, as the package takes them."""
        settled = self._settled
        values = {
            "qpos": settled.qpos,
            "qvel": settled.qvel,
            "gripper": settled.site("robot0:grip").xpos,
            "link": settled.body("robot0:gripper_link").xpos,
            "turn": settled.body("robot0:gripper_link").xquat,
        }
        if self.object_start is not None:
            values["height"] = settled.site("object0").xpos[2:3]
        return {name: torch.tensor(value) for name, value in values.items()}

    # ---- the simulation

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        qpos = sim.field("qpos")
        start = {name: value.to(qpos) for name, value in self._start.items()}
        qpos[ids] = start["qpos"]
        sim.field("qvel")[ids] = start["qvel"]
        hand, goal = self._mocap_ids
        sim.field("mocap_pos")[ids, hand] = start["link"]
        sim.field("mocap_quat")[ids, hand] = start["turn"]

        place = start["gripper"] + generator.uniform(-self.goal_range, self.goal_range, 3).to(qpos)
        if self.object_start is not None:
            place[:, 0] += self.goal_offset
            place[:, 2] = start["height"]
            if self.goals_in_the_air:
                chosen = generator.uniform(0.0, 1.0) < 0.5
                place[:, 2] += (generator.uniform(0.0, HIGHEST) * chosen).to(qpos)
            # The package draws until a place is far enough. None of so many is, once in a million starts at most.
            drawn = generator.uniform(-self.object_range, self.object_range, CANDIDATES, 2).to(qpos)
            first = (drawn.norm(dim=-1) >= CLEARANCE).to(torch.uint8).argmax(-1)
            away = drawn.gather(1, first[:, None, None].expand(-1, 1, 2)).squeeze(1)
            qpos[ids, self._object_qpos : self._object_qpos + 2] = start["gripper"][:2] + away
        sim.field("mocap_pos")[ids, goal] = place

    def advance(self, sim: Simulator, action: Tensor) -> None:
        hand, _ = self._mocap_ids
        mocap_pos, mocap_quat, qpos = sim.field("mocap_pos"), sim.field("mocap_quat"), sim.field("qpos")
        xpos, xquat = sim.field("xpos"), sim.field("xquat")
        mocap_pos[:, hand] += STRIDE * action[:, :3]
        mocap_quat[:, hand, 0] += DOWN[0]
        mocap_quat[:, hand, 2] += DOWN[2]
        if self.fingers_work:  # the actuators: left, then right
            right, left = self._finger_qpos
            sim.step(qpos[:, [left, right]] + action[:, 3:], self.frame_skip)
        else:
            sim.step(action[:, :0], self.frame_skip)
            qpos[:, self._finger_qpos] = 0.0
            sim.forward(torch.arange(sim.num_worlds, device=sim.device))
        # The next action starts from where the gripper got to, not from where it was told to go.
        link = self._link
        mocap_pos[:, hand] = xpos[:, link]
        mocap_quat[:, hand] = xquat[:, link]

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        gripper = sim.field("site_xpos")[:, self._grip_site]
        values = {
            "gripper_position": gripper,
            "gripper_velocity": velocity(sim, self._link_dofs, gripper)[1],
            "finger_positions": qpos[:, self._finger_qpos],
            "finger_velocities": qvel[:, self._finger_dofs],
            "goal_position": sim.field("mocap_pos")[:, self._mocap_ids[1]],
        }
        if self.object_start is not None:
            centre = sim.field("site_xpos")[:, self._object_site]
            turning, moving = velocity(sim, self._object_dofs, centre)
            values |= {
                "object_position": centre,
                "object_rotation": euler_angles(sim.field("site_xmat")[:, self._object_site].reshape(-1, 3, 3)),
                "object_velocity": moving,
                "object_angular_velocity": turning,
            }
        return values

    # ---- where things stand in the model

    @cached_property
    def _mocap_ids(self) -> tuple[int, int]:
        """Of the body that the gripper follows, and of the goal."""
        return int(self.model.body("robot0:mocap").mocapid[0]), int(self.model.body("goal").mocapid[0])

    @cached_property
    def _link(self) -> int:
        return int(self.model.body("robot0:gripper_link").id)

    @cached_property
    def _grip_site(self) -> int:
        return int(self.model.site("robot0:grip").id)

    @cached_property
    def _object_site(self) -> int:
        return int(self.model.site("object0").id)

    @cached_property
    def _object_qpos(self) -> int:
        return int(self.model.joint("object0:joint").qposadr[0])

    @cached_property
    def _finger_qpos(self) -> list[int]:
        return [int(self.model.joint(name).qposadr[0]) for name in FINGERS]

    @cached_property
    def _finger_dofs(self) -> list[int]:
        return [int(self.model.joint(name).dofadr[0]) for name in FINGERS]

    @cached_property
    def _link_dofs(self) -> list[int]:
        return moving_dofs(self.model, self._link)

    @cached_property
    def _object_dofs(self) -> list[int]:
        return moving_dofs(self.model, int(self.model.body("object0").id))

    # ---- what is wanted

    def achieved(self, state: State) -> Tensor:
        """``(n, 3)`` m: what is to be brought to the goal."""
        return state.object_position

    def observation(self, state: State) -> Tensor:
        """The package's: achieved goal, desired goal, observation; velocities are per control step there."""
        step = self.control_step
        parts = [self.achieved(state), state.goal_position, state.gripper_position]
        if self.object_start is None:
            parts += [state.finger_positions]
        else:
            parts += [
                state.object_position,
                state.object_position - state.gripper_position,
                state.finger_positions,
                state.object_rotation,
                step * (state.object_velocity - state.gripper_velocity),
                step * state.object_angular_velocity,
            ]
        parts += [step * state.gripper_velocity, step * state.finger_velocities]
        return torch.cat(parts, dim=-1)

    def distance(self, state: State) -> Tensor:
        """``(n,)`` m."""
        return (self.achieved(state) - state.goal_position).norm(dim=-1)

    def fitness(self, episode: Episodes) -> Tensor:
        return (self.distance(State(episode.layout, episode.states[-1])) < AT_GOAL).to(torch.float32)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        total = -self.distance(next_state)
        return total, {"distance": total}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        there = (self.distance(next_state) < AT_GOAL).to(action.dtype)
        return there, {"there": there}


def moving_dofs(model: mujoco.MjModel, body: int) -> list[int]:
    """The degrees of freedom that move ``body``, from its own towards the root."""
    while model.body_dofnum[body] == 0:
        body = int(model.body_parentid[body])
    dof, found = int(model.body_dofadr[body] + model.body_dofnum[body] - 1), []
    while dof >= 0:
        found.append(dof)
        dof = int(model.dof_parentid[dof])
    return found


def velocity(sim: Simulator, dofs: Sequence[int], point: Tensor) -> tuple[Tensor, Tensor]:
    """Angular and linear velocity, ``(n, 3)`` each, of a body moved by ``dofs`` at ``point`` ``(n, 3)``, world frame.

    Jacobian times ``qvel``, as ``mj_jacSite`` has it: MuJoCo's ``cvel`` is that of a substep before.
    """
    root = int(sim.model.body_rootid[sim.model.dof_bodyid[dofs[0]]])
    twist = (sim.field("cdof")[:, dofs] * sim.field("qvel")[:, dofs, None]).sum(1)
    arm = point - sim.field("subtree_com")[:, root]
    return twist[:, :3], twist[:, 3:] + torch.linalg.cross(twist[:, :3], arm)


SOURCE = "Gymnasium-Robotics, {}: minus the distance to the goal"


@register("fetch/reach")
class FetchReach(FetchTask):
    description = (
        "A robot arm is steered by moving its gripper, whose fingers are held shut. It should bring the point between "
        "the fingertips to a goal in the air, which lies somewhere else in every episode, and be there at the end."
    )
    fields = (*GRIPPER_FIELDS, Field("goal_position", (3,), "m", "where the gripper should be, world frame"))
    fitness_meaning = "whether the gripper is within 5 cm of the goal at the end of the 2 s"
    expert_source = SOURCE.format("FetchReachDense-v4")
    scene = "reach.xml"
    base = (0.4049, 0.48, 0.0)
    object_start = None
    extra_height = 0.2

    def achieved(self, state: State) -> Tensor:
        return state.gripper_position


@register("fetch/push")
class FetchPush(FetchTask):
    description = (
        "A robot arm at a table is steered by moving its gripper, whose fingers are held shut. It should push a block, "
        "a cube that lies on the table, to a goal on the table; block and goal lie elsewhere in every episode, and the "
        "block should be there at the end."
    )
    fields = (*GRIPPER_FIELDS, *OBJECT_FIELDS, Field("goal_position", (3,), "m", "where the block should be"))
    fitness_meaning = "whether the block is within 5 cm of the goal at the end of the 2 s"
    expert_source = SOURCE.format("FetchPushDense-v4")
    scene = "push.xml"


@register("fetch/slide")
class FetchSlide(FetchTask):
    description = (
        "A robot arm at a long, slippery table is steered by moving its gripper, whose fingers are held shut. It "
        "should hit a puck so that it slides to a goal, which lies out of the arm's reach in most episodes, and comes "
        "to rest there; puck and goal lie elsewhere in every episode."
    )
    fields = (*GRIPPER_FIELDS, *OBJECT_FIELDS, Field("goal_position", (3,), "m", "where the puck should come to rest"))
    fitness_meaning = "whether the puck is within 5 cm of the goal at the end of the 2 s"
    expert_source = SOURCE.format("FetchSlideDense-v4")
    scene = "slide.xml"
    base = (0.05, 0.48, 0.0)
    object_start = (1.7, 1.1, 0.41, 1.0, 0.0, 0.0, 0.0)
    extra_height = -0.02
    object_range = 0.1
    goal_range = 0.3
    goal_offset = 0.4


@register("fetch/pick_and_place")
class FetchPickAndPlace(FetchTask):
    description = (
        "A robot arm at a table is steered by moving its gripper and opening or closing its two fingers. It should "
        "take a block, a cube that lies on the table, to a goal on the table or above it; block and goal lie elsewhere "
        "in every episode, and the block should be there at the end."
    )
    fields = (*GRIPPER_FIELDS, *OBJECT_FIELDS, Field("goal_position", (3,), "m", "where the block should be"))
    fitness_meaning = "whether the block is within 5 cm of the goal at the end of the 2 s"
    expert_source = SOURCE.format("FetchPickAndPlaceDense-v4")
    scene = "pick_and_place.xml"
    extra_height = 0.2
    fingers_work = True
    goals_in_the_air = True
