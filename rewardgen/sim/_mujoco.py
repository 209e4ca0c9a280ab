"""Imports MuJoCo the way that a headless, many-process program wants it. Imported before anything else that needs it.

Left to itself, ``import mujoco`` looks for a window system, and starts a child process to ask GLFW for its version.
Physics needs neither, and rendering here makes its own context (``rendering.py``). Set ``MUJOCO_GL`` to choose
otherwise: it is respected.
"""

from __future__ import annotations

import logging
import os
import sys

_logger = logging.getLogger("rewardgen.sim")


def _import_quietly() -> None:
    if "mujoco" in sys.modules or "MUJOCO_GL" in os.environ:
        import mujoco  # noqa: F401

        return
    os.environ["MUJOCO_GL"] = "disable"
    try:
        import mujoco  # noqa: F401
    finally:  # Gymnasium's renderer reads the variable too, and must find what the user left there: nothing
        del os.environ["MUJOCO_GL"]


_import_quietly()
