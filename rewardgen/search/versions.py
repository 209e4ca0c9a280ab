"""The versions that results depend on."""

from __future__ import annotations

import platform
from importlib.metadata import version

PACKAGES = ("rewardgen", "torch", "mujoco", "gymnasium", "numpy")


def versions() -> dict[str, str]:
    """Package → its version, Python's among them."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}
