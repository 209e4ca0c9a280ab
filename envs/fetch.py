"""A Fetch arm at a table, from Gymnasium-Robotics' Fetch environments (v4): reach, push, slide, pick and place.

Actions move the gripper and, in pick_and_place only, its two fingers. World frame: x away from the robot, z up; the
gripper always points down. Source: Plappert et al., "Multi-Goal Reinforcement Learning" (2018).
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

STRIDE = 0.05  # m: displacement of the gripper's target by an action of 1
DOWN = (1.0, 0.0, 1.0, 0.0)  # quaternion added to the gripper's orientation at each action; turns it downwards
AT_GOAL = 0.05  # m: gripper or object is at the goal within this distance
SETTLING = 10  # control steps that move the gripper to the start of episodes
FROM_FOLDED = (-0.498, 0.005, -0.431)  # m: that start, relative to the gripper in the model's default pose
CLEARANCE = 0.1  # m: smallest horizontal distance of the object's start from the gripper
CANDIDATES = 64  # object positions drawn; the first with that clearance is used
HIGHEST = 0.45  # m above the table: upper bound of goals in the air
EYE = (2.5, -0.55, 1.05)  # m: camera position, with the distance and side of the package's camera
EYE_AXES = (0.743, 0.669, 0.0, -0.162, 0.18, 0.97)  # right and up axes of the camera

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
    """Base of the four tasks: 50 steps of 0.04 s; the goal is a mocap body."""

    group = "robotics"
    package = ("gymnasium_robotics", "rewardgen[robotics]")
    frame_skip = 20
    horizon = 50
    fitness_unit = "success"
    fitness_range = (0.0, 1.0)
    success_threshold = 1.0

    scene: ClassVar[str]
    """File name of the model."""
    base: ClassVar[tuple[float, float, float]] = (0.405, 0.48, 0.0)
    """Position of the robot, m."""
    object_start: ClassVar[tuple[float, ...] | None] = (1.25, 0.53, 0.4, 1.0, 0.0, 0.0, 0.0)
    """Position (m) and quaternion from which the object settles; None: no object."""
    extra_height: ClassVar[float] = 0.0
    """Height of the gripper's start above that of push, m."""
    fingers_work: ClassVar[bool] = False
    """Whether actions drive the fingers; False: they are held shut."""
    object_range: ClassVar[float] = 0.15
    """Largest offset of the object's start from the gripper along x and y, m."""
    goal_range: ClassVar[float] = 0.15
    """Largest distance of the goal from the gripper's start plus ``goal_offset`` along each axis, m."""
    goal_offset: ClassVar[float] = 0.0
    """Offset of the goals along x, m."""
    goals_in_the_air: ClassVar[bool] = False
    """Whether half of the goals for an object are above the table."""

    # ---- the model

    def make_model(self) -> mujoco.MjModel:
        """Compile the package's ``scene`` with the goal as a mocap body and a camera beside the table."""
        spec = mujoco.MjSpec.from_file(str(self.asset(f"envs/assets/fetch/{self.scene}")))
        drawn = spec.site("target0")  # the package moves this site for rendering; here it is attached to the goal body
        goal = spec.worldbody.add_body(name="goal", mocap=True)
        goal.add_site(name="goal", size=drawn.size, rgba=drawn.rgba)
        spec.delete(drawn)
        # Add a camera: the robot's own one is in its head and shows little besides the head.
        camera = spec.worldbody.add_camera(name="beside", pos=EYE)
        camera.alt.type, camera.alt.xyaxes = mujoco.mjtOrientation.mjORIENTATION_XYAXES, EYE_AXES
        model = spec.compile()
        # Weld the gripper to the mocap body without the offset that both have in the default pose.
        welds = model.eq_type == int(mujoco.mjtEq.mjEQ_WELD)
        model.eq_data[welds, :7] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
        return model

    @cached_property
    def action_low(self) -> Tensor:
        """Return the lower bound of actions, ``(4,)``: -1."""
        return -torch.ones(4)

    @cached_property
    def action_high(self) -> Tensor:
        """Return the upper bound of actions, ``(4,)``: 1."""
        return torch.ones(4)

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """Name the components of an action: three displacements of the gripper, and the fingers."""
        last = "opening of the fingers" if self.fingers_work else "nothing (the fingers are held shut)"
        return "gripper along x", "gripper along y", "gripper along z", last

    @cached_property
    def _settled(self) -> mujoco.MjData:
        """State from which episodes start: the gripper moved down to the table, the object at rest on it."""
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
        """Start values from ``_settled`` by name; positions are those of the last substep, as in the package."""
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
        """Start from the settled pose; draw the goal around the gripper and the object's position."""
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
            # The package redraws until the object is far enough; all CANDIDATES fail at most once in 1e6 resets.
            drawn = generator.uniform(-self.object_range, self.object_range, CANDIDATES, 2).to(qpos)
            first = (drawn.norm(dim=-1) >= CLEARANCE).to(torch.uint8).argmax(-1)
            away = drawn.gather(1, first[:, None, None].expand(-1, 1, 2)).squeeze(1)
            qpos[ids, self._object_qpos : self._object_qpos + 2] = start["gripper"][:2] + away
        sim.field("mocap_pos")[ids, goal] = place

    def advance(self, sim: Simulator, action: Tensor) -> None:
        """Move the gripper's mocap body by the action, simulate, and set it back to the gripper's pose."""
        hand, _ = self._mocap_ids
        mocap_pos, mocap_quat, qpos = sim.field("mocap_pos"), sim.field("mocap_quat"), sim.field("qpos")
        xpos, xquat = sim.field("xpos"), sim.field("xquat")
        mocap_pos[:, hand] += STRIDE * action[:, :3]
        mocap_quat[:, hand, 0] += DOWN[0]
        mocap_quat[:, hand, 2] += DOWN[2]
        if self.fingers_work:  # actuators are in the order left, right
            right, left = self._finger_qpos
            sim.step(qpos[:, [left, right]] + action[:, 3:], self.frame_skip)
        else:
            sim.step(action[:, :0], self.frame_skip)
            qpos[:, self._finger_qpos] = 0.0
            sim.forward(torch.arange(sim.num_worlds, device=sim.device))
        # The next action is relative to the gripper's actual pose, not to its target.
        link = self._link
        mocap_pos[:, hand] = xpos[:, link]
        mocap_quat[:, hand] = xquat[:, link]

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read gripper, fingers, goal and, where there is one, the object; velocities are in m/s and rad/s."""
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

    # ---- indices into the model

    @cached_property
    def _mocap_ids(self) -> tuple[int, int]:
        """Mocap indices of the body that the gripper follows and of the goal."""
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

    # ---- goal and rewards

    def achieved(self, state: State) -> Tensor:
        """Return the position that should be at the goal, ``(n, 3)`` m: by default the object's."""
        return state.object_position

    def observation(self, state: State) -> Tensor:
        """Return the package's achieved goal, desired goal and observation, in that order, ``(n, 31)``.

        Without an object it is ``(n, 16)``. Velocities are per control step, as in the package.
        """
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
        """Return the distance from ``achieved`` to the goal, ``(n,)`` m."""
        return (self.achieved(state) - state.goal_position).norm(dim=-1)

    def fitness(self, episode: Episodes) -> Tensor:
        """Return 1 where the last state is within 0.05 m of the goal, else 0, ``(n,)``."""
        return (self.distance(State(episode.layout, episode.states[-1])) < AT_GOAL).to(torch.float32)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the package's dense reward: minus the distance to the goal."""
        total = -self.distance(next_state)
        return total, {"distance": total}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps that end within 0.05 m of the goal."""
        there = (self.distance(next_state) < AT_GOAL).to(action.dtype)
        return there, {"there": there}


def moving_dofs(model: mujoco.MjModel, body: int) -> list[int]:
    """Return the degrees of freedom that move ``body``, from its own towards the root."""
    while model.body_dofnum[body] == 0:
        body = int(model.body_parentid[body])
    dof, found = int(model.body_dofadr[body] + model.body_dofnum[body] - 1), []
    while dof >= 0:
        found.append(dof)
        dof = int(model.dof_parentid[dof])
    return found


def velocity(sim: Simulator, dofs: Sequence[int], point: Tensor) -> tuple[Tensor, Tensor]:
    """Return angular and linear velocity, ``(n, 3)`` each, at ``point`` ``(n, 3)`` of a body moved by ``dofs``.

    World frame. Computed as Jacobian times ``qvel``, like ``mj_jacSite``, because MuJoCo's ``cvel`` is one substep old.
    """
    root = int(sim.model.body_rootid[sim.model.dof_bodyid[dofs[0]]])
    twist = (sim.field("cdof")[:, dofs] * sim.field("qvel")[:, dofs, None]).sum(1)
    arm = point - sim.field("subtree_com")[:, root]
    return twist[:, :3], twist[:, 3:] + torch.linalg.cross(twist[:, :3], arm)


SOURCE = "Gymnasium-Robotics, {}: minus the distance to the goal"


@register("fetch/reach")
class FetchReach(FetchTask):
    """Gymnasium-Robotics' FetchReachDense-v4: no object, the goal is for the gripper."""

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
        """Return the gripper's position, ``(n, 3)`` m."""
        return state.gripper_position


@register("fetch/push")
class FetchPush(FetchTask):
    """Gymnasium-Robotics' FetchPushDense-v4: goals on the table."""

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
    """Gymnasium-Robotics' FetchSlideDense-v4: goals on a long table, 0.4 m further along x."""

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
    """Gymnasium-Robotics' FetchPickAndPlaceDense-v4: actions drive the fingers, half of the goals are in the air."""

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
