"""A model in MuJoCo's binary format."""

from __future__ import annotations

import mujoco
import numpy as np


def model_bytes(model: mujoco.MjModel) -> bytes:
    """Return the content of an MJB file of ``model``, meshes and textures included.

    Only the version of MuJoCo that wrote it reads it.
    """
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()
