"""dm_control's planar manipulator: an arm of four links with finger and thumb, and a ball.

x is sideways, z up.
"""

from __future__ import annotations

import math

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register, tolerance
from rewardgen.tasks.suite import random_joints, read_sensor, suite_spec, until_no_contacts

CLOSE = 0.01  # m: the ball is at the target within this distance
TARGET_Y = 0.001  # m: offset of the target from the plane of the ball
IN_HAND, IN_TARGET = 0.1, 0.1  # probability of a start with the ball in the hand, at the target
JOINTS = ("arm_root", "arm_shoulder", "arm_elbow", "arm_wrist", "finger", "fingertip", "thumb", "thumbtip")
BALL = ("ball_x", "ball_z", "ball_y")
TOUCH = ("palm_touch", "finger_touch", "thumb_touch", "fingertip_touch", "thumbtip_touch")
OTHER_PROPS = ("peg", "target_peg", "slot", "cup")


@register("dmc_manipulator/bring_ball")
class ManipulatorBringBall(SuiteTask):
    """dm_control's manipulator/bring_ball: 1000 steps of 0.01 s, five motors."""

    description = (
        "A planar arm of four links ends in a hand of a finger and a thumb, closed and opened by one motor; a ball "
        "lies or falls somewhere within reach, or is in the hand already. It should grasp the ball, bring it to the "
        "target, which hangs elsewhere in every episode, and hold it there."
    )
    fields = (
        Field("joint_angles", (8,), "rad", "arm root, shoulder, elbow, wrist, finger, fingertip, thumb, thumb tip"),
        Field("joint_velocities", (8,), "rad/s", "rates of change of joint_angles, in the same order"),
        Field("touch", (5,), "N", "pressure on palm, finger, thumb, fingertip, thumb tip"),
        Field("hand_position", (2,), "m", "position of the hand's root: x and z"),
        Field("hand_orientation", (2,), "1", "cosine and sine of half the hand's angle in the plane"),
        Field("ball_position", (2,), "m", "position of the ball: x and z"),
        Field("ball_orientation", (2,), "1", "cosine and sine of half the ball's angle in the plane"),
        Field("ball_velocity", (2,), "m/s", "velocity of the ball along x and z"),
        Field("ball_spin", (), "rad/s", "rate of the ball's angle in the plane"),
        Field("target_position", (2,), "m", "position of the target: x and z"),
        Field("target_orientation", (2,), "1", "cosine and sine of half the target's angle, of no importance"),
    )
    frame_skip = 10
    success_threshold = 400.0  # chosen by hand: at the target within the first half, then held
    expert_source = "dm_control, suite/manipulator.py, bring_ball: 1 at the target, falling steeply with the distance"

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``manipulator.xml`` without the other props, the target as a mocap body."""
        spec = suite_spec("manipulator")
        for name in OTHER_PROPS:
            spec.delete(spec.body(name))
        spec.body("target_ball").mocap = True
        return spec.compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw arm, target and ball until nothing is in contact.

        The ball starts in the hand (10 %), at the target (10 %), or anywhere with a horizontal velocity of up to 5 m/s
        (80 %).
        """
        model = sim.model
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        target, orientation = sim.field("mocap_pos"), sim.field("mocap_quat")
        grasp_position, grasp_frame = sim.field("site_xpos"), sim.field("site_xmat")
        grasp = model.site("grasp").id
        address = {name: int(model.joint(name).qposadr[0]) for name in (*JOINTS, *BALL)}
        ball = torch.tensor([address[name] for name in BALL], device=ids.device)
        ball_x = int(model.joint("ball_x").dofadr[0])

        def place(chosen: Tensor) -> None:
            rows = ids[chosen]
            columns, values = random_joints(model, generator)
            qpos[rows[:, None], columns] = values[chosen]
            qpos[rows, address["finger"]] = qpos[rows, address["thumb"]]
            x, z = generator.uniform(-0.4, 0.4), generator.uniform(0.1, 0.4)
            angle = generator.uniform(-torch.pi, torch.pi)
            target[rows, 0, 0], target[rows, 0, 2] = x[chosen], z[chosen]
            orientation[rows, 0] = 0.0
            orientation[rows, 0, 0] = torch.cos(angle / 2.0)[chosen]
            orientation[rows, 0, 2] = torch.sin(angle / 2.0)[chosen]

            kind = generator.uniform(0.0, 1.0)
            in_hand, in_target = kind < IN_HAND, (kind >= IN_HAND) & (kind < IN_HAND + IN_TARGET)
            thrown = generator.uniform(-5.0, 5.0)
            free = torch.stack(
                [generator.uniform(-0.5, 0.5), generator.uniform(0.0, 0.7), generator.uniform(0.0, 2.0 * math.pi)], -1
            )
            sim.forward(rows)  # update the hand's pose for the new joint angles
            held, along = grasp_position[ids, grasp], grasp_frame[ids, grasp]
            turned = torch.pi - torch.atan2(along[:, 6], along[:, 0])
            start = torch.where(in_hand[:, None], torch.stack([held[:, 0], held[:, 2], turned], dim=-1), free)
            start = torch.where(in_target[:, None], torch.stack([x, z, angle], dim=-1), start)
            qpos[rows[:, None], ball] = start[chosen]
            falling = chosen & ~in_hand & ~in_target
            # The ball's velocity of a rejected start is kept, as in the suite.
            qvel[ids[falling], ball_x] = thrown[falling]

        until_no_contacts(sim, ids, place)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read joints, touch sensors, and the poses of hand, ball and target in the plane."""
        model, qpos, qvel = sim.model, sim.field("qpos"), sim.field("qvel")
        places, turns = sim.field("xpos"), sim.field("xquat")
        hand, ball = model.body("hand").id, model.body("ball").id
        arm = [model.joint(name) for name in JOINTS]
        dofs = [model.joint(name).dofadr[0] for name in BALL]
        return {
            "joint_angles": qpos[:, [joint.qposadr[0] for joint in arm]],
            "joint_velocities": qvel[:, [joint.dofadr[0] for joint in arm]],
            "touch": torch.cat([read_sensor(sim, name) for name in TOUCH], dim=-1),
            "hand_position": places[:, hand][:, [0, 2]],
            "hand_orientation": turns[:, hand][:, [0, 2]],
            "ball_position": places[:, ball][:, [0, 2]],
            "ball_orientation": turns[:, ball][:, [0, 2]],
            "ball_velocity": qvel[:, dofs[0:2]],
            "ball_spin": qvel[:, dofs[2]],
            "target_position": sim.field("mocap_pos")[:, 0][:, [0, 2]],
            "target_orientation": sim.field("mocap_quat")[:, 0][:, [0, 2]],
        }

    def observation(self, state: State) -> Tensor:
        """Return the suite's observation, ``(n, 44)``: angles as sine and cosine, touch f as log(1 + f)."""
        bent = torch.stack([torch.sin(state.joint_angles), torch.cos(state.joint_angles)], dim=-1)
        return torch.cat(
            [
                bent.flatten(1),
                state.joint_velocities,
                torch.log1p(state.touch),
                state.hand_position,
                state.hand_orientation,
                state.ball_position,
                state.ball_orientation,
                state.ball_velocity,
                state.ball_spin[:, None],
                state.target_position,
                state.target_orientation,
            ],
            dim=-1,
        )

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward: 1 within 0.01 m of the target, decaying over a margin of 0.02 m."""
        in_plane = (next_state.ball_position - next_state.target_position).square().sum(-1)
        distance = torch.sqrt(in_plane + TARGET_Y**2)
        near = tolerance(distance, 0.0, CLOSE, margin=2.0 * CLOSE)
        return near, {"near": near}
