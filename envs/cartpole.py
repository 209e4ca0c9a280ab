"""Cart-pole: swing the pole up from hanging and balance it, or balance a pole that starts upright.

Angles are measured from upright: 0 is upright, plus or minus pi hangs down. Balancing is Isaac Gym's Cartpole
(Makoviychuk et al., 2021) with a model of its own; Eureka (Ma et al., 2024) uses it with the time until the pole falls
as its fitness.
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

ASSETS = Path(__file__).parent / "assets"
POSITION_NOISE = 0.1  # m and rad: half-width of the uniform start distribution, swing-up
VELOCITY_NOISE = 0.05  # m/s and rad/s: half-width, swing-up
UPRIGHT = math.cos(math.radians(20.0))  # the pole counts as upright within 20 degrees
CENTRE = 0.5  # m: the cart counts as centred within this distance
STILL_RATE = 1.0  # rad/s: sparse reward: largest pole velocity
FAST_RATE = 5.0  # rad/s: expert reward: scale of the pole velocity
BALANCED_SECONDS = 6.0  # s of 10: success threshold; swinging up takes about 2 s

STANDING_POSITION = 0.1  # m and rad: half-width of the uniform start distribution, balancing
STANDING_VELOCITY = 0.25  # m/s and rad/s: half-width, balancing
FURTHEST = 3.0  # m: balancing terminates when the cart is further from the middle
LEVEL = 0.5 * math.pi  # rad: balancing terminates when the pole leans further, i.e. is below horizontal
LOST_REWARD = -2.0  # balancing expert reward: for the step that terminates the episode
CART_COST, POLE_COST = 0.01, 0.005  # balancing expert reward: per m/s and per rad/s
NEARLY_UPRIGHT = 0.1  # rad: sparse reward of balancing: largest lean
WHOLE_STEPS = 450.0  # of 500: success threshold; without control the pole falls within 150 steps


@register("cartpole/swingup")
class CartpoleSwingup(Task):
    """Swing-up and balancing in 500 steps of 0.02 s; one force on the cart."""

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
        """Load ``cartpole.xml``, whose pole angle is 0 when hanging down."""
        return mujoco.MjModel.from_xml_path(str(ASSETS / "cartpole.xml"))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Start near the middle with the pole hanging, plus uniform noise."""
        sim.field("qpos")[ids] = generator.uniform(-POSITION_NOISE, POSITION_NOISE, 2)
        sim.field("qvel")[ids] = generator.uniform(-VELOCITY_NOISE, VELOCITY_NOISE, 2)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read cart and pole, with the model's pole angle shifted by pi so that 0 is upright."""
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
        """Return cart position, cosine and sine of the pole angle, and both velocities, ``(n, 5)``."""
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
        """Return the time with the pole within 20 degrees of upright and the cart within 0.5 m, ``(n,)`` s."""
        upright = episode.field("pole_upright")[1:] >= UPRIGHT
        centred = episode.field("cart_position")[1:].abs() <= CENTRE
        return (upright & centred & episode.mask).sum(0) * self.control_step

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the pole's height times factors for a centred cart and a slow pole, from 0 to 1."""
        height = 0.5 + 0.5 * next_state.pole_upright
        near = 0.5 + 0.5 * torch.exp(-next_state.cart_position.square())
        calm = 0.5 + 0.5 * torch.exp(-2.0 * (next_state.pole_velocity / FAST_RATE).square())
        swingup = height * near * calm
        return swingup, {"swingup": swingup}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 while the pole is upright as for ``fitness``, the cart centred and the pole slow."""
        upright = next_state.pole_upright >= UPRIGHT
        centred = next_state.cart_position.abs() <= CENTRE
        still = next_state.pole_velocity.abs() <= STILL_RATE
        balanced = (upright & centred & still).to(action.dtype)
        return balanced, {"balanced": balanced}


@register("cartpole/balance")
class CartpoleBalance(Task):
    """Isaac Gym's Cartpole in 500 steps of 1/60 s; one force on the cart."""

    group = "eureka"
    description = (
        "A cart slides on a horizontal rail; a pole, 1 m long, stands on it on a free hinge, and only the cart is "
        "driven. It should keep the pole from falling; the episode ends when the pole is below level or the cart "
        "further than 3 m from the middle."
    )
    fields = (
        Field("cart_position", (), "m", "position of the cart on the rail, 0 in the middle"),
        Field("cart_velocity", (), "m/s", "velocity of the cart"),
        Field("pole_angle", (), "rad", "lean of the pole, 0 upright, positive towards +x"),
        Field("pole_velocity", (), "rad/s", "rate of change of pole_angle"),
    )
    frame_skip = 2
    horizon = 500
    fitness_unit = "steps"
    fitness_meaning = "control steps of the 500 until the pole falls or the cart leaves, Eureka's consecutive successes"
    fitness_range = (0.0, 500.0)
    success_threshold = WHOLE_STEPS
    expert_source = (
        "Isaac Gym, Cartpole: 1 minus the squared angle, 0.01 times the cart's and 0.005 times the pole's speed; -2 "
        "where the episode ends"
    )

    def make_model(self) -> mujoco.MjModel:
        """Load ``cartpole_balance.xml``, whose pole angle is 0 when upright."""
        return mujoco.MjModel.from_xml_path(str(ASSETS / "cartpole_balance.xml"))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Start near the middle with the pole near upright, plus uniform noise on both velocities."""
        sim.field("qpos")[ids] = generator.uniform(-STANDING_POSITION, STANDING_POSITION, 2)
        sim.field("qvel")[ids] = generator.uniform(-STANDING_VELOCITY, STANDING_VELOCITY, 2)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read positions and velocities of cart and pole from ``qpos`` and ``qvel``."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        return {
            "cart_position": qpos[:, 0],
            "cart_velocity": qvel[:, 0],
            "pole_angle": qpos[:, 1],
            "pole_velocity": qvel[:, 1],
        }

    def observation(self, state: State) -> Tensor:
        """Return all fields, ``(n, 4)``."""
        return torch.stack([state.cart_position, state.cart_velocity, state.pole_angle, state.pole_velocity], dim=-1)

    def terminations(self, state: State) -> dict[str, Tensor]:
        """End the episode when the pole is below horizontal or the cart further out than 3 m."""
        return {"pole fell": state.pole_angle.abs() > LEVEL, "cart too far": state.cart_position.abs() > FURTHEST}

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the episode length, ``(n,)`` control steps."""
        return episode.length.to(torch.float32)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return Isaac Gym's reward: 1 minus squared lean and velocity costs; -2 on termination."""
        slow = -CART_COST * next_state.cart_velocity.abs() - POLE_COST * next_state.pole_velocity.abs()
        lost = self.terminated(next_state)
        upright = torch.where(lost, LOST_REWARD, 1.0 - next_state.pole_angle.square())
        calm = torch.where(lost, 0.0, slow)
        return upright + calm, {"upright": upright, "calm": calm}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps with a lean of at most 0.1 rad that do not terminate the episode."""
        upright = next_state.pole_angle.abs() <= NEARLY_UPRIGHT
        balanced = (upright & ~self.terminated(next_state)).to(action.dtype)
        return balanced, {"balanced": balanced}
