"""Imports MuJoCo the way that a headless, many-process program wants it. Imported before anything else that needs it.

Left to itself, ``import mujoco`` looks for a window system, and starts a child process to ask GLFW for its version.
Physics needs neither, and rendering here makes its own context (``rendering.py``). Set ``MUJOCO_GL`` to choose
otherwise: it is respected.

MuJoCo's own warnings, which it would print and append to MUJOCO_LOG.TXT in the working directory, go to the logger
"rewardgen.sim" instead. They tell of worlds that became unstable, and ``Simulator.diverged`` tells of those too.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys

_logger = logging.getLogger("rewardgen.sim")


def _import_quietly() -> None:
    if "mujoco" in sys.modules or "MUJOCO_GL" in os.environ:
        return
    os.environ["MUJOCO_GL"] = "disable"
    try:
        importlib.import_module("mujoco")
    finally:  # Gymnasium's renderer reads the variable too, and must find what the user left there: nothing
        del os.environ["MUJOCO_GL"]


def _log_warnings() -> None:
    import mujoco

    mujoco.set_mju_user_warning(lambda message: _logger.info("MuJoCo: %s", message))


_import_quietly()
_log_warnings()
