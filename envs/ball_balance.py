"""Isaac Gym's BallBalance: keep a ball on a round tray that stands on three actuated legs.

World frame: z up, the centre of the tray above the origin. Isaac Gym: Makoviychuk et al. (2021). Eureka (Ma et al.,
2024) uses this task; its fitness is the time until the ball falls.
"""

from __future__ import annotations

import math
from pathlib import Path

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Episodes, Field, RewardAndTerms, Simulator, State, Task, WorldRandom, register

MODEL = Path(__file__).parent / "assets" / "ball_balance.xml"
NEAREST, FURTHEST = 0.001, 0.5  # m: horizontal distance of the ball's start from the tray's centre
START_HEIGHTS = (1.0, 2.0)  # m: height of the ball's start
FALLING_SPEED = 5.0  # m/s: initial downward speed
INWARD_SPEED = 5.0  # m/s: largest initial speed towards the centre; scales with the distance from it
LOST_HEIGHT = 0.15  # m: terminates when the ball's centre is below this
GOAL_HEIGHT = 0.7  # m: expert reward: target height of the ball's centre
ON_TRAY = 0.25  # m: sparse reward: largest distance from the tray's centre
STILL_SPEED = 0.5  # m/s: sparse reward: largest speed of the ball
WHOLE_STEPS = 450.0  # of 500: success threshold; a ball that starts almost still stays on the tray without control
KNEES = (8, 10, 12)  # columns of qpos; one less in qvel, because a quaternion has four numbers


@register("ball_balance/keep")
class BallBalanceKeep(Task):
    """Isaac Gym's BallBalance in 500 steps of 0.01 s; actions are rates of the knee servos' set-points, rad/s."""

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
        """Load ``ball_balance.xml``, which has the dimensions of Isaac Gym's."""
        return mujoco.MjModel.from_xml_path(str(MODEL))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Drop the ball from 1 to 2 m at a random place above the tray, at 5 m/s and moving inward."""
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
        """Read ball and tray in the world frame; the tray's normal is the z axis of its body."""
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
        """Return all fields, ``(n, 18)``."""
        ball = [state.ball_position, state.ball_velocity]
        tray = [state.tray_position, state.tray_normal]
        return torch.cat([*ball, *tray, state.knee_angles, state.knee_velocities], dim=-1)

    def terminations(self, state: State) -> dict[str, Tensor]:
        """End the episode when the ball's centre is below 0.15 m."""
        return {"ball on the floor": state.ball_position[:, 2] < LOST_HEIGHT}

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the episode length, ``(n,)`` control steps."""
        return episode.length.to(torch.float32)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return Isaac Gym's reward: closeness to 0.7 m above the origin, times slowness of the ball."""
        aside = next_state.ball_position[:, 0:2].square().sum(-1)
        distance = (aside + (next_state.ball_position[:, 2] - GOAL_HEIGHT).square()).sqrt()
        resting = 1.0 / (1.0 + distance) / (1.0 + next_state.ball_velocity.norm(dim=-1))
        return resting, {"resting": resting}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for a ball within 0.25 m of the centre, at most 0.5 m/s fast and not on the floor."""
        near = next_state.ball_position[:, 0:2].norm(dim=-1) <= ON_TRAY
        still = next_state.ball_velocity.norm(dim=-1) <= STILL_SPEED
        balanced = (near & still & ~self.terminated(next_state)).to(action.dtype)
        return balanced, {"balanced": balanced}
