"""dm_control's ball in cup: a ball hangs on a string from an actuated cup that moves in the vertical plane.

x is sideways, z up.
"""

from __future__ import annotations

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register
from rewardgen.tasks.suite import suite_spec, until_no_contacts

INSIDE = 0.025  # m: half the inner width of the cup minus the radius of the ball


@register("dmc_ball_in_cup/catch")
class BallInCupCatch(SuiteTask):
    """dm_control's ball_in_cup/catch: 1000 steps of 0.02 s, two forces on the cup."""

    description = (
        "A ball hangs on a string of 0.3 m from the bottom of a cup that is open at the top; the cup is moved sideways "
        "and up and down by two motors against springs. It should swing the ball up, catch it in the cup and keep it."
    )
    fields = (
        Field("cup_position", (2,), "m", "the cup from its place at rest: x and z"),
        Field("ball_position", (2,), "m", "the ball from the point 0.4 m below the cup's place at rest: x and z"),
        Field("cup_velocity", (2,), "m/s", "velocity of the cup along x and z"),
        Field("ball_velocity", (2,), "m/s", "velocity of the ball along x and z"),
        Field("ball_to_cup", (2,), "m", "vector from the ball to the middle of the cup's inside: x and z"),
    )
    frame_skip = 10
    success_threshold = 800.0  # chosen by hand: caught within the first fifth of the episode and kept
    expert_source = "dm_control, suite/ball_in_cup.py, catch: 1 while the ball is inside the cup"

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``ball_in_cup.xml``."""
        return suite_spec("ball_in_cup").compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw the ball's position around and below the cup until nothing is in contact, at rest."""
        qpos = sim.field("qpos")

        def place(chosen: Tensor) -> None:
            sideways, up = generator.uniform(-0.2, 0.2), generator.uniform(0.2, 0.5)
            qpos[ids[chosen], 2:4] = torch.stack([sideways, up], dim=-1)[chosen]

        until_no_contacts(sim, ids, place)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read positions and velocities from ``qpos`` and ``qvel``, the ball's offset from the target site."""
        qpos, qvel, model = sim.field("qpos"), sim.field("qvel"), sim.model
        target = sim.field("site_xpos")[:, model.site("target").id]
        return {
            "cup_position": qpos[:, 0:2],
            "ball_position": qpos[:, 2:4],
            "cup_velocity": qvel[:, 0:2],
            "ball_velocity": qvel[:, 2:4],
            "ball_to_cup": (target - sim.field("xpos")[:, model.body("ball").id])[:, [0, 2]],
        }

    def observation(self, state: State) -> Tensor:
        """Return the suite's observation, ``(n, 8)``: positions and velocities of cup and ball."""
        return torch.cat([state.cup_position, state.ball_position, state.cup_velocity, state.ball_velocity], dim=-1)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward, which is sparse: 1 while the ball is inside the cup."""
        caught = (next_state.ball_to_cup.abs() < INSIDE).all(-1).to(action.dtype)
        return caught, {"caught": caught}

    sparse_reward = expert_reward
