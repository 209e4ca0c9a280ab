"""Pictures of a world, drawn off screen with EGL or OSMesa, or in a hidden window where there is neither."""

from __future__ import annotations

import importlib
from typing import Any

import mujoco
import numpy as np

from rewardgen.errors import SimulationFailed

_BACKENDS = ("mujoco.egl", "mujoco.osmesa", "mujoco.glfw")
_MAX_GEOMS = 2000
_contexts: dict[tuple[int, int], Any] = {}


def render_model(model: mujoco.MjModel, data: mujoco.MjData, width: int, height: int) -> np.ndarray:
    """``data`` as its first camera sees it (a free one that shows the whole model, if it has none).

    Returns:
        ``(height, width, 3)`` uint8.

    Raises:
        SimulationFailed: no way to draw works on this machine; the message says what each said.
    """
    context = _context(width, height)
    context.make_current()
    scene = mujoco.MjvScene(model, maxgeom=_MAX_GEOMS)
    camera = mujoco.MjvCamera()
    if model.ncam:
        camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
    else:
        mujoco.mjv_defaultFreeCamera(model, camera)
    options, perturb = mujoco.MjvOption(), mujoco.MjvPerturb()
    mujoco.mjv_updateScene(model, data, options, perturb, camera, mujoco.mjtCatBit.mjCAT_ALL, scene)

    kept = model.vis.global_.offwidth, model.vis.global_.offheight
    model.vis.global_.offwidth, model.vis.global_.offheight = width, height
    try:
        drawing = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
    finally:
        model.vis.global_.offwidth, model.vis.global_.offheight = kept
    try:
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, drawing)
        area = mujoco.MjrRect(0, 0, width, height)
        picture = np.empty((height, width, 3), dtype=np.uint8)
        mujoco.mjr_render(area, scene, drawing)
        mujoco.mjr_readPixels(picture, None, area, drawing)
    finally:
        drawing.free()
    return np.ascontiguousarray(picture[::-1])


def _context(width: int, height: int) -> Any:
    """An OpenGL context of that size, kept for the next picture."""
    if (width, height) not in _contexts:
        said = []
        for backend in _BACKENDS:
            try:
                context = importlib.import_module(backend).GLContext(width, height)
                context.make_current()
            except Exception as error:  # each backend has its own way to fail: missing library, driver or display
                said.append(f"{backend.removeprefix('mujoco.')}: {type(error).__name__}: {error}")
            else:
                _contexts[width, height] = context
                break
        else:
            raise SimulationFailed(
                "this machine can draw neither with EGL nor with OSMesa nor in a window; install libegl1 or libosmesa6 "
                f"to see pictures, everything else works without ({'; '.join(said)})"
            )
    return _contexts[width, height]
