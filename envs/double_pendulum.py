"""A double pendulum on a cart, from Gymnasium's InvertedDoublePendulum-v5: keep both poles upright.

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

RESET_NOISE = 0.1  # half-width of the uniform noise on qpos (m, rad); standard deviation on qvel (m/s, rad/s)
LOWEST_TIP = 1.0  # m: terminates when the tip is at or below this; upright it is at 1.2
BALANCED_TIP = 1.15  # m: sparse reward: lowest tip
SEEN_VALUE = 10.0  # m/s, rad/s and N: clip of velocities and of the rail's force in the observation
ALIVE_BONUS = 10.0  # expert reward: per step that does not terminate the episode
WHOLE_SECONDS = 45.0  # s of 50: success threshold


@register("double_pendulum/balance")
class DoublePendulumBalance(Task):
    """Gymnasium's InvertedDoublePendulum-v5 in 1000 steps of 0.05 s; one force on the cart."""

    group = "gymnasium"
    description = (
        "A cart on a horizontal rail carries a pole, 0.6 m long, with a second such pole on top, both on free hinges; "
        "only the cart is driven. It should keep both poles upright. The episode ends when the tip of the upper pole "
        "falls to 1 m; upright it is at 1.2 m."
    )
    fields = (
        Field("cart_position", (), "m", "position of the cart on the rail, 0 in the middle, ends at -1 and 1"),
        Field("pole_angles", (2,), "rad", "lower pole from upright, upper pole from the line of the lower one"),
        Field("cart_velocity", (), "m/s", "velocity of the cart"),
        Field("pole_velocities", (2,), "rad/s", "rates of change of pole_angles, in the same order"),
        Field("tip_position", (2,), "m", "tip of the upper pole: x along the rail, z its height above the rail"),
        Field("rail_force", (), "N", "force of the rail's ends on the cart, 0 away from them"),
    )
    frame_skip = 5
    horizon = 1000
    fitness_unit = "s"
    fitness_meaning = "time of the 50 s until the tip has fallen to 1 m"
    fitness_range = (0.0, 50.0)
    success_threshold = WHOLE_SECONDS
    expert_source = (
        "Gymnasium, InvertedDoublePendulum-v5: 10 for staying up, minus squared distances of the tip and squared "
        "velocities of the poles"
    )
    gymnasium_id = "InvertedDoublePendulum-v5"

    def make_model(self) -> mujoco.MjModel:
        """Load Gymnasium's ``inverted_double_pendulum.xml``."""
        return mujoco.MjModel.from_xml_path(str(gymnasium_asset("inverted_double_pendulum.xml")))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Add uniform noise to ``qpos`` and Gaussian noise to ``qvel``, as Gymnasium does."""
        sim.field("qpos")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 3)
        sim.field("qvel")[ids] += RESET_NOISE * generator.normal(3)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read positions and velocities, the tip's site, and the constraint force on the cart."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        return {
            "cart_position": qpos[:, 0],
            "pole_angles": qpos[:, 1:3],
            "cart_velocity": qvel[:, 0],
            "pole_velocities": qvel[:, 1:3],
            "tip_position": sim.field("site_xpos")[:, 0, ::2],
            "rail_force": sim.field("qfrc_constraint")[:, 0],
        }

    def observation(self, state: State) -> Tensor:
        """Return Gymnasium's observation, ``(n, 9)``: angles as sine and cosine, clipped velocities."""
        clipped = [state.cart_velocity[:, None], state.pole_velocities, state.rail_force[:, None]]
        return torch.cat(
            [
                state.cart_position[:, None],
                torch.sin(state.pole_angles),
                torch.cos(state.pole_angles),
                torch.cat(clipped, dim=-1).clamp(-SEEN_VALUE, SEEN_VALUE),
            ],
            dim=-1,
        )

    def terminations(self, state: State) -> dict[str, Tensor]:
        """End the episode when the tip of the upper pole is at 1 m or lower."""
        return {"poles fell": state.tip_position[:, 1] <= LOWEST_TIP}

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the time until the poles fall, ``(n,)`` s."""
        return episode.length * self.control_step

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return Gymnasium's reward: alive bonus minus tip distance and velocity costs.

        The distance is measured from the point 2 m above the middle of the rail, which the tip cannot reach.
        """
        x, height = next_state.tip_position.unbind(-1)
        lower, upper = next_state.pole_velocities.unbind(-1)
        alive = ALIVE_BONUS * (~self.terminated(next_state)).to(action.dtype)
        distance = -(0.01 * x.square() + (height - 2.0).square())
        velocity = -(1e-3 * lower.square() + 5e-3 * upper.square())
        return alive + distance + velocity, {"alive": alive, "distance": distance, "velocity": velocity}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps that end with the tip at 1.15 m or higher."""
        balanced = (next_state.tip_position[:, 1] >= BALANCED_TIP).to(action.dtype)
        return balanced, {"balanced": balanced}
