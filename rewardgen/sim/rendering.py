"""Render worlds off screen with EGL or OSMesa, or in a hidden window if neither works."""

from __future__ import annotations

import importlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import mujoco
import numpy as np

from rewardgen.errors import SimulationFailed

_BACKENDS = {"egl": "EGL", "osmesa": "OSMesa", "glfw": "a hidden window"}
"""MuJoCo's name of each backend, best first → the name to show."""
_MAX_GEOMS = 2000
_FIRST_SIZE = (640, 480)  # of a context's own buffer, in which nothing is drawn


class Canvas:
    """Render one model repeatedly, ``height`` by ``width`` pixels. Callable from any thread; a single thread draws.

    Args:
        shadows: draw shadows, which take two thirds of the time in software rendering.

    Raises:
        SimulationFailed: no backend works on this machine; the message quotes the error of each.
    """

    def __init__(self, model: mujoco.MjModel, width: int = 480, height: int = 360, *, shadows: bool = True) -> None:
        self._model, self._width, self._height, self._shadows = model, width, height, shadows
        self._drawing, self._scene = _drawing_thread().submit(self._open).result()

    def draw(self, data: mujoco.MjData, camera: mujoco.MjvCamera | None = None) -> np.ndarray:
        """Render ``data`` from ``camera``: by default the model's first, or a free one that shows the whole model.

        Returns:
            ``(height, width, 3)`` uint8.
        """
        return _drawing_thread().submit(self._draw, data, camera or _first_camera(self._model)).result()

    def close(self) -> None:
        """Free the graphics memory."""
        _drawing_thread().submit(self._drawing.free).result()

    def _open(self) -> tuple[mujoco.MjrContext, mujoco.MjvScene]:
        _context()[0].make_current()
        size = self._model.vis.global_
        # The off-screen buffer takes its size from the model: set ours and restore the model's
        kept = size.offwidth, size.offheight
        size.offwidth, size.offheight = self._width, self._height
        try:
            drawing = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        finally:
            size.offwidth, size.offheight = kept
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, drawing)
        scene = mujoco.MjvScene(self._model, maxgeom=_MAX_GEOMS)
        if not self._shadows:
            scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        return drawing, scene

    def _draw(self, data: mujoco.MjData, camera: mujoco.MjvCamera) -> np.ndarray:
        options, perturb = mujoco.MjvOption(), mujoco.MjvPerturb()
        mujoco.mjv_updateScene(
            self._model, data, options, perturb, camera, int(mujoco.mjtCatBit.mjCAT_ALL), self._scene
        )
        area = mujoco.MjrRect(0, 0, self._width, self._height)
        picture = np.empty((self._height, self._width, 3), dtype=np.uint8)
        mujoco.mjr_render(area, self._scene, self._drawing)
        mujoco.mjr_readPixels(picture, None, area, self._drawing)
        # OpenGL's rows run from bottom to top
        return np.ascontiguousarray(picture[::-1])


def render_model(model: mujoco.MjModel, data: mujoco.MjData, width: int, height: int) -> np.ndarray:
    """Render ``data`` once from the default camera, ``(height, width, 3)`` uint8; see ``Canvas``."""
    canvas = Canvas(model, width, height)
    try:
        return canvas.draw(data)
    finally:
        canvas.close()


def renderer() -> str:
    """Return the backend of this machine: "EGL", "OSMesa" or "a hidden window".

    Raises:
        SimulationFailed: none works; the message quotes each error and says what to install.
    """
    return _drawing_thread().submit(lambda: _context()[1]).result()


def _first_camera(model: mujoco.MjModel) -> mujoco.MjvCamera:
    camera = mujoco.MjvCamera()
    if model.ncam:
        camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
    else:
        mujoco.mjv_defaultFreeCamera(model, camera)
    return camera


@cache
def _drawing_thread() -> ThreadPoolExecutor:
    """Make the one thread that draws: an OpenGL context belongs to the thread that made it current."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="drawing")


@cache
def _context() -> tuple[Any, str]:
    """Make an OpenGL context, current in the drawing thread; return it with the backend's name."""
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    said = []
    # The backend of MUJOCO_GL only, if it names one
    for backend in [wanted] if wanted in _BACKENDS else _BACKENDS:
        platform, loaded = os.environ.get("PYOPENGL_PLATFORM"), set(sys.modules)
        try:
            if backend == "glfw":
                _check_display()
            context = importlib.import_module(f"mujoco.{backend}").GLContext(*_FIRST_SIZE)
            context.make_current()
        except Exception as error:  # each backend has its own way to fail: missing library, driver or display
            said.append(f"{_BACKENDS[backend]}: {type(error).__name__}: {error}")
            _forget(platform, loaded)
        else:
            return context, _BACKENDS[backend]
    raise SimulationFailed(
        "this machine can draw neither with EGL nor with OSMesa nor in a window; install libegl1 or libosmesa6 "
        f"(Debian's names) to see pictures, everything else works without ({'; '.join(said)})"
    )


def _check_display() -> None:
    """Fail if there is no display: GLFW would only warn and make contexts that draw nothing."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise SimulationFailed("there is no display")


def _forget(platform: str | None, loaded: set[str]) -> None:
    """Undo the imports of a failed backend: PyOpenGL keeps the first platform that it is loaded for."""
    os.environ.pop("PYOPENGL_PLATFORM", None)
    if platform is not None:
        os.environ["PYOPENGL_PLATFORM"] = platform
    for name in set(sys.modules) - loaded:
        if name.partition(".")[0] == "OpenGL" or name.startswith(("mujoco.egl", "mujoco.osmesa")):
            del sys.modules[name]
