"""Contact forces on bodies, which MuJoCo computes only on demand."""

from __future__ import annotations

import mujoco

POST_CONSTRAINT = ("cacc", "cfrc_int", "cfrc_ext")
_MARK = "rewardgen_post_constraint"


def compute_post_constraint(spec: mujoco.MjSpec) -> None:
    """Have simulators of this model keep ``cacc``, ``cfrc_int`` and ``cfrc_ext`` current.

    MuJoCo computes them only on demand (``mj_rnePostConstraint``). Here that is done once after each ``step``, where
    Gymnasium does it too: for RK4 that is at the last of the four evaluations, which no sensor can tell. On a CPU it
    costs about 10 microseconds for each world and control step.
    """
    spec.add_numeric(name=_MARK, data=[1.0], size=1)


def keeps_post_constraint(model: mujoco.MjModel) -> bool:
    """Whether ``compute_post_constraint`` was asked for when ``model`` was made."""
    return bool(mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_NUMERIC, _MARK) >= 0)


def not_kept(name: str) -> str:
    """What to say to who asks for one of ``POST_CONSTRAINT`` all the same."""
    return (
        f"MuJoCo does not compute {name} by itself; call rewardgen.sim.compute_post_constraint(spec) "
        "before the model is compiled"
    )
