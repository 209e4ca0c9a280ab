"""Two poles on a cart, one upon the other, as Gymnasium's InvertedDoublePendulum-v5 has it: keep them upright.

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

RESET_NOISE = 0.1  # m and rad: half the width of the uniform; m/s and rad/s: standard deviation
LOWEST_TIP = 1.0  # m: an episode ends when the upper pole's tip is at or below this; upright it is at 1.2
BALANCED_TIP = 1.15  # m: the sparse reward pays at or above this
SEEN_VALUE = 10.0  # m/s, rad/s and N: velocities and the rail's force are clipped to this for the policy
ALIVE_BONUS = 10.0  # of the expert reward, for each step that does not end the episode
WHOLE_SECONDS = 45.0  # s of the 50: what counts as balancing


@register("double_pendulum/balance")
class DoublePendulumBalance(Task):
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
        return mujoco.MjModel.from_xml_path(str(gymnasium_asset("inverted_double_pendulum.xml")))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        sim.field("qpos")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 3)
        sim.field("qvel")[ids] += RESET_NOISE * generator.normal(3)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
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
        return {"poles fell": state.tip_position[:, 1] <= LOWEST_TIP}

    def fitness(self, episode: Episodes) -> Tensor:
        return episode.length * self.control_step

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        x, height = next_state.tip_position.unbind(-1)
        lower, upper = next_state.pole_velocities.unbind(-1)
        alive = ALIVE_BONUS * (~self.terminated(next_state)).to(action.dtype)
        distance = -(0.01 * x.square() + (height - 2.0).square())
        velocity = -(1e-3 * lower.square() + 5e-3 * upper.square())
        return alive + distance + velocity, {"alive": alive, "distance": distance, "velocity": velocity}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        balanced = (next_state.tip_position[:, 1] >= BALANCED_TIP).to(action.dtype)
        return balanced, {"balanced": balanced}
