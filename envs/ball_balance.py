"""A ball on a round tray that three legs hold, after Isaac Gym's BallBalance: keep the ball on the tray.

World frame: z up, the tray's middle above the origin. Makoviychuk et al. (2021) describe Isaac Gym; Eureka (Ma et al.,
2024) searches on this task, with the time that the ball stays up as its truth.
"""

from __future__ import annotations

import math
from pathlib import Path

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Episodes, Field, RewardAndTerms, Simulator, State, Task, WorldRandom, register

MODEL = Path(__file__).parent / "assets" / "ball_balance.xml"
NEAREST, FURTHEST = 0.001, 0.5  # m: the ball starts this far from above the tray's middle,
START_HEIGHTS = (1.0, 2.0)  # m: this high,
FALLING_SPEED = 5.0  # m/s: falling this fast,
INWARD_SPEED = 5.0  # m/s: and moving inward at up to this at the rim, less nearer to the middle
LOST_HEIGHT = 0.15  # m: an episode ends when the ball's centre is below this
GOAL_HEIGHT = 0.7  # m: of the expert reward, where the ball's centre is to be
ON_TRAY = 0.25  # m: the sparse reward pays within this of the middle,
STILL_SPEED = 0.5  # m/s: for a ball no faster than this
WHOLE_STEPS = 450.0  # of the 500: what counts as balancing; where it starts almost still a ball stays by itself
KNEES = (8, 10, 12)  # in qpos; in qvel one less, as a quaternion has four numbers


@register("ball_balance/keep")
class BallBalanceKeep(Task):
    group = "eureka"
    description = (
        "A round tray, 0.5 m in radius, rests on three legs whose feet stay where they are; each leg's knee is driven, "
        "so that the tray can be tilted and raised. A ball falls onto it from above. It should keep the ball on the "
        "tray; the episode ends when the ball has fallen to the floor."
    )
    fields = (
        Field("ball_position", (3,), "m", "centre of the ball, world frame; at rest on the level tray z is 0.67"),
        Field("ball_velocity", (3,), "m/s", "linear velocity of the ball, world frame"),
        Field("tray_position", (3,), "m", "centre of the tray, world frame; at rest z is 0.56"),
        Field("tray_normal", (3,), "1", "unit vector that stands on the tray, world frame: 0, 0, 1 where it is level"),
        Field("knee_angles", (3,), "rad", "each leg's knee, of the legs at 0, 120, 240 degrees; positive stretches"),
        Field("knee_velocities", (3,), "rad/s", "rates of change of knee_angles, in the same order"),
    )
    frame_skip = 2
    horizon = 500
    fitness_unit = "steps"
    fitness_meaning = "control steps of the 500 until the ball is on the floor (Eureka's consecutive successes)"
    fitness_range = (0.0, 500.0)
    success_threshold = WHOLE_STEPS
    expert_source = (
        "Isaac Gym, BallBalance: 1 / (1 + distance of the ball to its place), times 1 / (1 + speed of the ball)"
    )

    def make_model(self) -> mujoco.MjModel:
        return mujoco.MjModel.from_xml_path(str(MODEL))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        distance = generator.uniform(NEAREST, FURTHEST)
        inward = (distance - NEAREST) / (FURTHEST - NEAREST) * generator.uniform(0.0, INWARD_SPEED)
        angle = generator.uniform(-math.pi, math.pi)
        direction = torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        qpos[ids, 13:15] = distance[:, None] * direction
        qpos[ids, 15] = generator.uniform(*START_HEIGHTS)
        qvel[ids, 12:14] = -inward[:, None] * direction
        qvel[ids, 14] = -FALLING_SPEED

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        return {
            "ball_position": qpos[:, 13:16],
            "ball_velocity": qvel[:, 12:15],
            "tray_position": qpos[:, 0:3],
            "tray_normal": sim.field("xmat")[:, sim.model.body("tray").id].flatten(1)[:, [2, 5, 8]],
            "knee_angles": qpos[:, KNEES],
            "knee_velocities": qvel[:, [knee - 1 for knee in KNEES]],
        }

    def observation(self, state: State) -> Tensor:
        ball = [state.ball_position, state.ball_velocity]
        tray = [state.tray_position, state.tray_normal]
        return torch.cat([*ball, *tray, state.knee_angles, state.knee_velocities], dim=-1)

    def terminations(self, state: State) -> dict[str, Tensor]:
        return {"ball on the floor": state.ball_position[:, 2] < LOST_HEIGHT}

    def fitness(self, episode: Episodes) -> Tensor:
        return episode.length.to(torch.float32)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        aside = next_state.ball_position[:, 0:2].square().sum(-1)
        distance = (aside + (next_state.ball_position[:, 2] - GOAL_HEIGHT).square()).sqrt()
        resting = 1.0 / (1.0 + distance) / (1.0 + next_state.ball_velocity.norm(dim=-1))
        return resting, {"resting": resting}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        near = next_state.ball_position[:, 0:2].norm(dim=-1) <= ON_TRAY
        still = next_state.ball_velocity.norm(dim=-1) <= STILL_SPEED
        balanced = (near & still & ~self.terminated(next_state)).to(action.dtype)
        return balanced, {"balanced": balanced}
