"""dm_control's pendulum, whose motor is too weak to lift it directly."""

from __future__ import annotations

import math

import mujoco
import torch
from torch import Tensor

from rewardgen.tasks import Field, RewardAndTerms, Simulator, State, SuiteTask, WorldRandom, register, tolerance
from rewardgen.tasks.suite import suite_spec

UPRIGHT = math.cos(math.radians(8.0))  # the pole counts as upright within 8 degrees


@register("dmc_pendulum/swingup")
class PendulumSwingup(SuiteTask):
    """dm_control's pendulum/swingup: 1000 steps of 0.02 s, one torque."""

    description = (
        "A pendulum with a heavy end hangs from a hinge, whose motor is too weak to lift it at once. It should swing "
        "the pendulum up and keep it balanced upright."
    )
    fields = (
        Field("pole_upright", (), "1", "cosine of the pole's angle from upright: 1 upright, -1 hanging down"),
        Field("pole_sideways", (), "1", "sine of the pole's angle from upright: 1 pointing along +x"),
        Field("pole_velocity", (), "rad/s", "rate of the pole's angle, positive towards +x when upright"),
    )
    frame_skip = 1
    success_threshold = 600.0  # chosen by hand: upright for more than half of the episode, from any start
    expert_source = "dm_control, suite/pendulum.py, swingup: 1 while the pole is within 8 degrees of upright"

    def make_model(self) -> mujoco.MjModel:
        """Compile the suite's ``pendulum.xml``."""
        return suite_spec("pendulum").compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Draw the angle uniformly from -pi to pi, at rest."""
        sim.field("qpos")[ids] = generator.uniform(-torch.pi, torch.pi, 1)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Read cosine and sine of the pole's angle from its rotation matrix, the velocity from ``qvel``."""
        pole = sim.field("xmat")[:, sim.model.body("pole").id]
        return {"pole_upright": pole[:, 8], "pole_sideways": pole[:, 2], "pole_velocity": sim.field("qvel")[:, 0]}

    def observation(self, state: State) -> Tensor:
        """Return all fields, ``(n, 3)``."""
        return torch.stack([state.pole_upright, state.pole_sideways, state.pole_velocity], dim=-1)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return the suite's reward, which is sparse: 1 within 8 degrees of upright."""
        upright = tolerance(next_state.pole_upright, UPRIGHT, 1.0)
        return upright, {"upright": upright}

    sparse_reward = expert_reward
