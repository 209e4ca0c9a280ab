"""dm_control's planar cheetah, after Wawrzynski (2009).

x is forward, z up; positive pitch is nose down.
"""

from __future__ import annotations

import math

import mujoco
import torch
from torch import Tensor

from rewardgen.sim import MujocoSim
from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register, tolerance
from rewardgen.tasks.suite import random_joints, read_sensor, suite_spec

TOTAL_MASS = 14.0  # kg: as the model file asks for
RUN_SPEED = 10.0  # m/s: speed at which the reward saturates
SETTLING = 200  # substeps without action before an episode begins


@register("dmc_cheetah/run")
class SuiteCheetahRun(SuiteTask):
    """dm_control's cheetah/run: 1000 steps of 0.01 s, six joint motors."""

    description = (
        "A planar two-legged cheetah with six driven joints (thigh, shin and foot of the back and of the front leg) "
        "lies on flat ground as it fell. It should run forward, in the +x direction, as fast as it can."
    )
    fields = (
        Field("torso_position", (2,), "m", "position of the torso: x forward, z relative to a height of 0.7 m"),
        Field("torso_pitch", (), "rad", "rotation of the torso in the plane, 0 upright, positive nose down"),
        Field("joint_angles", (6,), "rad", "back thigh, back shin, back foot, front thigh, front shin, front foot"),
        Field("torso_velocity", (2,), "m/s", "velocity of the torso along x and z"),
        Field("pitch_rate", (), "rad/s", "rate of change of torso_pitch"),
        Field("joint_velocities", (6,), "rad/s", "rates of change of joint_angles, in the same order"),
        Field("forward_speed", (), "m/s", "velocity along x of the centre of mass of the whole body"),
    )
    frame_skip = 1
    success_threshold = 500.0  # chosen by hand: 5 m/s on average, faster than any shuffling gait
    expert_source = "dm_control, suite/cheetah.py, run: forward speed over 10 m/s, at least 0 and at most 1"

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``cheetah.xml`` and scale its total mass to 14 kg."""
        spec = suite_spec("cheetah")
        spec.compiler.settotalmass = -1  # deprecated (MuJoCo warns on each load); mj_setTotalmass below does the same
        model = spec.compile()
        mujoco.mj_setTotalmass(model, TOTAL_MASS)
        mujoco.mj_setConst(model, mujoco.MjData(model))
        return model

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw the limited joints uniformly and let the body settle for 200 substeps without action."""
        columns, values = random_joints(sim.model, generator, unlimited=False)
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        aside = MujocoSim(sim.model, len(ids))  # a separate simulator, so that the other worlds do not move
        aside.field("qpos")[:, columns] = values
        aside.step(torch.zeros(len(ids), sim.model.nu), SETTLING)
        qpos[ids] = aside.field("qpos")
        qvel[ids] = aside.field("qvel")

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Split ``qpos`` and ``qvel`` into torso and joints; the forward speed is the suite's sensor."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        return {
            "torso_position": qpos[:, 0:2],
            "torso_pitch": qpos[:, 2],
            "joint_angles": qpos[:, 3:9],
            "torso_velocity": qvel[:, 0:2],
            "pitch_rate": qvel[:, 2],
            "joint_velocities": qvel[:, 3:9],
            "forward_speed": read_sensor(sim, "torso_subtreelinvel")[:, 0],
        }

    def observation(self, state: State) -> Tensor:
        """Return the suite's observation, ``(n, 17)``: everything but x position and forward speed."""
        return torch.cat(
            [
                state.torso_position[:, 1:],
                state.torso_pitch[:, None],
                state.joint_angles,
                state.torso_velocity,
                state.pitch_rate[:, None],
                state.joint_velocities,
            ],
            dim=-1,
        )

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward: forward speed divided by 10 m/s, clipped to 0 and 1."""
        run = tolerance(next_state.forward_speed, RUN_SPEED, math.inf, RUN_SPEED, "linear", value_at_margin=0.0)
        return run, {"run": run}
