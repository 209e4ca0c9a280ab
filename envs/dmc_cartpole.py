"""dm_control's cart-pole: a cart on a rail with a pole on a free hinge, after Barto, Sutton and Anderson (1983)."""

from __future__ import annotations

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register, tolerance
from rewardgen.tasks.suite import small_control, suite_spec

CENTRE = 0.25  # m: sparse reward: largest distance of the cart from the middle
UPRIGHT = 0.995  # sparse reward: smallest cosine of the pole's angle
FAR = 2.0  # m: dense reward: margin of the cart's position
FAST = 5.0  # rad/s: dense reward: margin of the pole's velocity


class Cartpole(SuiteTask):
    """Base of the suite's cartpole tasks: 1000 steps of 0.01 s, one force on the cart."""

    fields = (
        Field("cart_position", (), "m", "position of the cart on the rail, 0 in the middle, ends at -1.8 and 1.8"),
        Field("pole_upright", (), "1", "cosine of the pole's angle from upright: 1 upright, -1 hanging down"),
        Field("pole_sideways", (), "1", "sine of the pole's angle from upright: 1 pointing along +x"),
        Field("cart_velocity", (), "m/s", "velocity of the cart"),
        Field("pole_velocity", (), "rad/s", "rate of the pole's angle, positive towards +x when upright"),
    )
    frame_skip = 1
    expert_source = (
        "dm_control, suite/cartpole.py: how upright the pole is, times factors for a centred cart, a slow pole and a "
        "small action"
    )

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``cartpole.xml``."""
        return suite_spec("cartpole").compile()

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read the cart from ``qpos`` and the pole's sine and cosine from its rotation matrix."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        pole = sim.field("xmat")[:, sim.model.body("pole_1").id]
        return {
            "cart_position": qpos[:, 0],
            "pole_upright": pole[:, 8],
            "pole_sideways": pole[:, 2],
            "cart_velocity": qvel[:, 0],
            "pole_velocity": qvel[:, 1],
        }

    def observation(self, state: State) -> Tensor:
        """Return all fields, ``(n, 5)``."""
        return torch.stack(
            [state.cart_position, state.pole_upright, state.pole_sideways, state.cart_velocity, state.pole_velocity],
            dim=-1,
        )

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's dense reward: uprightness times factors for cart, velocity and action."""
        upright = (next_state.pole_upright + 1.0) / 2.0
        centred = (1.0 + tolerance(next_state.cart_position, margin=FAR)) / 2.0
        slow = (1.0 + tolerance(next_state.pole_velocity, margin=FAST)) / 2.0
        gentle = (4.0 + small_control(action[:, 0])) / 5.0
        balance = upright * gentle * slow * centred
        return balance, {"balance": balance}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's sparse reward: 1 with the pole upright and the cart within 0.25 m."""
        centred = tolerance(next_state.cart_position, -CENTRE, CENTRE)
        balanced = centred * tolerance(next_state.pole_upright, UPRIGHT, 1.0)
        return balanced, {"balanced": balanced}


@register("dmc_cartpole/balance")
class SuiteCartpoleBalance(Cartpole):
    """dm_control's cartpole/balance: starts nearly upright."""

    description = (
        "A cart slides on a horizontal rail; a pole stands nearly upright on it on a free hinge, and only the cart is "
        "driven. It should keep the pole balanced upright with the cart near the middle of the rail, moving little."
    )
    success_threshold = 900.0  # chosen by hand: balanced from the first second to the last

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Start within 0.1 m of the middle and 0.034 rad of upright, nearly at rest."""
        position, angle = generator.uniform(-0.1, 0.1), generator.uniform(-0.034, 0.034)
        sim.field("qpos")[ids] = torch.stack([position, angle], dim=-1)
        sim.field("qvel")[ids] = 0.01 * generator.normal(2)


@register("dmc_cartpole/swingup")
class SuiteCartpoleSwingup(Cartpole):
    """dm_control's cartpole/swingup: starts hanging down."""

    description = (
        "A cart slides on a horizontal rail; a pole hangs from it on a free hinge, and only the cart is driven. It "
        "should swing the pole up and keep it balanced upright with the cart near the middle of the rail."
    )
    success_threshold = 700.0  # chosen by hand: swung up within the first quarter, then balanced

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Start in the middle with the pole hanging down, plus Gaussian noise of 0.01."""
        qpos = sim.field("qpos")
        qpos[ids] = 0.01 * generator.normal(2)
        qpos[ids, 1] += torch.pi
        sim.field("qvel")[ids] = 0.01 * generator.normal(2)


@register("dmc_cartpole/swingup_sparse")
class CartpoleSwingupSparse(SuiteCartpoleSwingup):
    """dm_control's cartpole/swingup_sparse: the swing-up with the sparse reward."""

    description = (
        "A cart slides on a horizontal rail; a pole hangs from it on a free hinge, and only the cart is driven. It "
        "should swing the pole up and then hold it within a few degrees of upright with the cart within a quarter of a "
        "metre of the middle of the rail."
    )
    success_threshold = 500.0  # chosen by hand: balanced for half of the episode
    expert_source = "dm_control, suite/cartpole.py, swingup_sparse: 1 while the pole is upright and the cart centred"

    expert_reward = Cartpole.sparse_reward
