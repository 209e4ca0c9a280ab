"""Request derived fields that simulators update after each step: MuJoCo's own step leaves them stale or omits them.

The request is a custom numeric in the model, because the model is all that a task passes to the simulator.
"""

from __future__ import annotations

import mujoco

# Fields of mj_rnePostConstraint
POST_CONSTRAINT = ("cacc", "cfrc_int", "cfrc_ext")
_POST_CONSTRAINT_MARK = "rewardgen_post_constraint"
_CURRENT_MARK = "rewardgen_current"


def compute_post_constraint(spec: mujoco.MjSpec) -> None:
    """Have simulators of this model keep ``cacc``, ``cfrc_int`` and ``cfrc_ext`` current.

    MuJoCo computes them only on demand (``mj_rnePostConstraint``). Here that is done once after each ``step``, where
    Gymnasium does it too: for RK4 that is at the last of the four evaluations, which no sensor can tell. On a CPU it
    costs about 10 microseconds for each world and control step.
    """
    spec.add_numeric(name=_POST_CONSTRAINT_MARK, data=[1.0], size=1)


def keeps_post_constraint(model: mujoco.MjModel) -> bool:
    """Return whether ``compute_post_constraint`` was called on the spec of ``model``."""
    return _is_marked(model, _POST_CONSTRAINT_MARK)


def keep_current(spec: mujoco.MjSpec) -> None:
    """Have simulators of this model bring what depends on positions and velocities up to date after each ``step``.

    Positions and orientations of bodies, and sensors of those two stages, then describe the state that ``step`` led to,
    as with ``mj_step1`` after it and as dm_control has it; forces, touch and accelerations stay those of the last
    substep. On a CPU it costs nothing with an Euler integrator, which goes on from there, and a fifth evaluation with
    RK4. Not together with ``compute_post_constraint``.
    """
    spec.add_numeric(name=_CURRENT_MARK, data=[1.0], size=1)


def keeps_current(model: mujoco.MjModel) -> bool:
    """Return whether ``keep_current`` was called on the spec of ``model``."""
    return _is_marked(model, _CURRENT_MARK)


def _is_marked(model: mujoco.MjModel, mark: str) -> bool:
    return bool(mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_NUMERIC, mark) >= 0)


def not_kept(name: str) -> str:
    """Word the error for a request of a field of ``POST_CONSTRAINT`` that is not computed."""
    return (
        f"MuJoCo does not compute {name} by itself; call rewardgen.sim.compute_post_constraint(spec) "
        "before the model is compiled"
    )
