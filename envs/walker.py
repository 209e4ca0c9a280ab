"""The planar two-legged walker of Erez, Tassa and Todorov (2011), from Gymnasium's Walker2d-v5: run forward.

Planar coordinates: x forward, z up. Positive pitch leans forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

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
    gymnasium_asset,
    register,
)

RESET_NOISE = 0.005  # m, rad, m/s and rad/s: half-width of the uniform noise on the default pose
TORSO_HEIGHTS = (0.8, 2.0)  # m: terminates when the torso leaves this range
LARGEST_PITCH = 1.0  # rad: terminates at or beyond this lean
SEEN_VELOCITY = 10.0  # m/s and rad/s: clip of velocities in the observation
ALIVE_BONUS = 1.0  # expert reward: per step that does not terminate the episode
CONTROL_COST = 1e-3  # expert reward: per unit of squared action
RUNNING_SPEED = 1.0  # m/s: success threshold; the best known policies reach about 5


@register("walker/run")
class WalkerRun(Task):
    """Gymnasium's Walker2d-v5: run along +x for 1000 steps of 0.008 s."""

    group = "gymnasium"
    description = (
        "A planar robot with two legs and six driven joints (hip, knee and ankle of each) stands on flat ground. It "
        "should run forward, in the +x direction, as fast as it can without falling; the episode ends when its torso "
        "leaves the heights from 0.8 m to 2 m or leans by more than 1 rad."
    )
    fields = (
        Field("torso_position", (2,), "m", "position of the torso: x forward, z its height above the ground"),
        Field("torso_pitch", (), "rad", "lean of the torso in the plane, 0 upright, positive forward"),
        Field("joint_angles", (6,), "rad", "right hip, knee, ankle, then left; hips and knees bend to negative angles"),
        Field("torso_velocity", (2,), "m/s", "velocity of the torso along x and z"),
        Field("pitch_rate", (), "rad/s", "rate of change of torso_pitch"),
        Field("joint_velocities", (6,), "rad/s", "rates of change of joint_angles, in the same order"),
    )
    frame_skip = 4
    horizon = 1000
    # Measured over 8 seeds at 300,000 steps: 1.55 m/s; with the defaults 0.92 m/s.
    training: ClassVar[Mapping[str, Any]] = {"worlds": 32, "rollout": 64, "epochs": 8}
    fitness_unit = "m/s"
    fitness_meaning = "mean forward speed over the whole 8 s, a fall counting as standing still from then on"
    success_threshold = RUNNING_SPEED
    expert_source = "Gymnasium, Walker2d-v5: 1 for staying up, plus forward speed, minus 0.001 times the squared action"
    gymnasium_id = "Walker2d-v5"

    def make_model(self) -> mujoco.MjModel:
        """Load Gymnasium's ``walker2d_v5.xml``."""
        return mujoco.MjModel.from_xml_path(str(gymnasium_asset("walker2d_v5.xml")))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Add uniform noise to ``qpos`` and ``qvel``, as Walker2d-v5 does."""
        sim.field("qpos")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 9)
        sim.field("qvel")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 9)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Split ``qpos`` and ``qvel`` into torso and joints."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        return {
            "torso_position": qpos[:, 0:2],
            "torso_pitch": qpos[:, 2],
            "joint_angles": qpos[:, 3:9],
            "torso_velocity": qvel[:, 0:2],
            "pitch_rate": qvel[:, 2],
            "joint_velocities": qvel[:, 3:9],
        }

    def observation(self, state: State) -> Tensor:
        """Return Walker2d-v5's observation, ``(n, 17)``: everything but x position, velocities clipped."""
        velocities = torch.cat([state.torso_velocity, state.pitch_rate[:, None], state.joint_velocities], dim=-1)
        return torch.cat(
            [
                state.torso_position[:, 1:],
                state.torso_pitch[:, None],
                state.joint_angles,
                velocities.clamp(-SEEN_VELOCITY, SEEN_VELOCITY),
            ],
            dim=-1,
        )

    def terminations(self, state: State) -> dict[str, Tensor]:
        """End the episode when the torso leaves 0.8 to 2 m of height or leans by 1 rad or more."""
        height, (lowest, highest) = state.torso_position[:, 1], TORSO_HEIGHTS
        return {
            "torso too low": height <= lowest,
            "torso too high": height >= highest,
            "leaned too far": state.torso_pitch.abs() >= LARGEST_PITCH,
        }

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the distance along x over the full 8 s, ``(n,)`` m/s; time after a fall counts with speed 0."""
        way = episode.last("torso_position")[:, 0] - episode.first("torso_position")[:, 0]
        return way / (episode.horizon * self.control_step)

    def forward_speed(self, state: State, next_state: State) -> Tensor:
        """Return the mean speed along x over one control step, ``(n,)`` m/s."""
        return (next_state.torso_position[:, 0] - state.torso_position[:, 0]) / self.control_step

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return Walker2d-v5's reward: forward speed plus alive bonus minus control cost."""
        forward = self.forward_speed(state, next_state)
        alive = ALIVE_BONUS * (~self.terminated(next_state)).to(action.dtype)
        control = -CONTROL_COST * action.square().sum(-1)
        return forward + alive + control, {"forward": forward, "alive": alive, "control": control}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps at 1 m/s or more that do not terminate the episode."""
        fast = self.forward_speed(state, next_state) >= RUNNING_SPEED
        running = (fast & ~self.terminated(next_state)).to(action.dtype)
        return running, {"running": running}
