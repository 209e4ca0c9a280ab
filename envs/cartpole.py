"""A cart on a rail with a pole that hangs from it: swing the pole up and keep it there.

Angles are measured from upright: 0 is the goal, plus or minus pi hangs down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Episodes, Field, RewardAndTerms, Simulator, State, Task, WorldRandom, register

MODEL = Path(__file__).parent / "assets" / "cartpole.xml"
POSITION_NOISE = 0.1  # m and rad, half the width of the uniform that the start is drawn from
VELOCITY_NOISE = 0.05  # m/s and rad/s, likewise
UPRIGHT = math.cos(math.radians(20.0))  # the pole counts as upright within 20 degrees
CENTRE = 0.5  # m: and the cart as near the centre
STILL_RATE = 1.0  # rad/s: what the sparse reward asks for besides
FAST_RATE = 5.0  # rad/s: the expert reward's measure of a fast pole
BALANCED_SECONDS = 6.0  # of 10; about 2 go into swinging up


@register("cartpole/swingup")
class CartpoleSwingup(Task):
    description = (
        "A cart slides on a horizontal rail 3.6 m long; a pole hangs from it on a free hinge, and only the cart is "
        "driven. It should swing the pole up and keep it balanced upright with the cart near the middle of the rail."
    )
    fields = (
        Field("cart_position", (), "m", "position of the cart on the rail, 0 in the middle, ends at -1.8 and 1.8"),
        Field("cart_velocity", (), "m/s", "velocity of the cart"),
        Field("pole_angle", (), "rad", "angle of the pole from upright in [-pi, pi]: 0 upright, +-pi hanging down"),
        Field("pole_upright", (), "1", "cosine of pole_angle: 1 upright, 0 level, -1 hanging down"),
        Field("pole_velocity", (), "rad/s", "rate of change of pole_angle"),
    )
    frame_skip = 2
    horizon = 500
    fitness_unit = "s"
    fitness_meaning = "time of the 10 s in which the pole is within 20 degrees of upright and the cart within 0.5 m"
    fitness_range = (0.0, 10.0)
    success_threshold = BALANCED_SECONDS
    expert_source = (
        "rewardgen's authors, for this task: the height of the pole, scaled down for a far cart and a fast pole, "
        "as dm_control's cart-pole does"
    )

    training: ClassVar[Mapping[str, Any]] = {"steps": 200_000, "worlds": 32, "rollout": 64, "epochs": 8}

    def make_model(self) -> mujoco.MjModel:
        return mujoco.MjModel.from_xml_path(str(MODEL))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        sim.field("qpos")[ids] = generator.uniform(-POSITION_NOISE, POSITION_NOISE, 2)
        sim.field("qvel")[ids] = generator.uniform(-VELOCITY_NOISE, VELOCITY_NOISE, 2)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        sine, cosine = -torch.sin(qpos[:, 1]), -torch.cos(qpos[:, 1])
        return {
            "cart_position": qpos[:, 0],
            "cart_velocity": qvel[:, 0],
            "pole_angle": torch.atan2(sine, cosine),
            "pole_upright": cosine,
            "pole_velocity": qvel[:, 1],
        }

    def observation(self, state: State) -> Tensor:
        return torch.stack(
            [
                state.cart_position,
                state.pole_upright,
                torch.sin(state.pole_angle),
                state.cart_velocity,
                state.pole_velocity,
            ],
            dim=-1,
        )

    def fitness(self, episode: Episodes) -> Tensor:
        upright = episode.field("pole_upright")[1:] >= UPRIGHT
        centred = episode.field("cart_position")[1:].abs() <= CENTRE
        return (upright & centred & episode.mask).sum(0) * self.control_step

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        height = 0.5 + 0.5 * next_state.pole_upright
        near = 0.5 + 0.5 * torch.exp(-next_state.cart_position.square())
        calm = 0.5 + 0.5 * torch.exp(-2.0 * (next_state.pole_velocity / FAST_RATE).square())
        swingup = height * near * calm
        return swingup, {"swingup": swingup}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        upright = next_state.pole_upright >= UPRIGHT
        centred = next_state.cart_position.abs() <= CENTRE
        still = next_state.pole_velocity.abs() <= STILL_RATE
        balanced = (upright & centred & still).to(action.dtype)
        return balanced, {"balanced": balanced}
