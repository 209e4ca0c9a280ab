"""A pole on a cart, after Barto, Sutton and Anderson (1983), from Gymnasium's InvertedPendulum-v5: balance it.

Planar coordinates: x along the rail, z up.
"""

from __future__ import annotations

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

RESET_NOISE = 0.01  # m, rad, m/s and rad/s: half-width of the uniform noise around upright and at rest
LARGEST_ANGLE = 0.2  # rad: terminates when the pole leans further
UPRIGHT_ANGLE = 0.05  # rad: sparse reward: largest lean
CENTRE = 0.2  # m: sparse reward: largest distance of the cart from the middle
WHOLE_SECONDS = 36.0  # s of 40: success threshold, 90 % of the episode, as for the double pendulum


@register("inverted_pendulum/balance")
class InvertedPendulumBalance(Task):
    """Gymnasium's InvertedPendulum-v5 in 1000 steps of 0.04 s; one force on the cart."""

    group = "gymnasium"
    description = (
        "A cart on a horizontal rail carries a pole, 0.6 m long, on a free hinge; only the cart is driven. It should "
        "keep the pole upright. The episode ends when the pole leans by more than 0.2 rad."
    )
    fields = (
        Field("cart_position", (), "m", "position of the cart on the rail, 0 in the middle, ends at -1 and 1"),
        Field("pole_angle", (), "rad", "lean of the pole, 0 upright, positive towards +x"),
        Field("cart_velocity", (), "m/s", "velocity of the cart"),
        Field("pole_velocity", (), "rad/s", "rate of change of pole_angle"),
    )
    frame_skip = 2
    horizon = 1000
    fitness_unit = "s"
    fitness_meaning = "time of the 40 s until the pole leans too far"
    fitness_range = (0.0, 40.0)
    success_threshold = WHOLE_SECONDS
    expert_source = "Gymnasium, InvertedPendulum-v5: 1 for each step that does not end the episode"
    gymnasium_id = "InvertedPendulum-v5"

    def make_model(self) -> mujoco.MjModel:
        """Load Gymnasium's ``inverted_pendulum.xml``."""
        return mujoco.MjModel.from_xml_path(str(gymnasium_asset("inverted_pendulum.xml")))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Add uniform noise to ``qpos`` and ``qvel``, as Gymnasium does."""
        sim.field("qpos")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 2)
        sim.field("qvel")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 2)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read positions and velocities of cart and pole from ``qpos`` and ``qvel``."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        return {
            "cart_position": qpos[:, 0],
            "pole_angle": qpos[:, 1],
            "cart_velocity": qvel[:, 0],
            "pole_velocity": qvel[:, 1],
        }

    def observation(self, state: State) -> Tensor:
        """Return all fields, ``(n, 4)``."""
        return torch.stack([state.cart_position, state.pole_angle, state.cart_velocity, state.pole_velocity], dim=-1)

    def terminations(self, state: State) -> dict[str, Tensor]:
        """End the episode when the pole leans by more than 0.2 rad."""
        return {"pole fell": state.pole_angle.abs() > LARGEST_ANGLE}

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the time until the pole leans too far, ``(n,)`` s."""
        return episode.length * self.control_step

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return Gymnasium's reward: 1 for each step that does not terminate the episode."""
        alive = (~self.terminated(next_state)).to(action.dtype)
        return alive, {"alive": alive}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps with a lean of at most 0.05 rad and the cart within 0.2 m of the middle."""
        upright = next_state.pole_angle.abs() <= UPRIGHT_ANGLE
        balanced = (upright & (next_state.cart_position.abs() <= CENTRE)).to(action.dtype)
        return balanced, {"balanced": balanced}
