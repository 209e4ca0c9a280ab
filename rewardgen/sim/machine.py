"""The versions and the machine that results depend on."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

from rewardgen.sim.threads import available_threads

PACKAGES = ("rewardgen", "torch", "mujoco", "gymnasium", "numpy")


def versions() -> dict[str, str]:
    """Return package → its version, Python's among them."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


@cache
def processor() -> Mapping[str, str]:
    """Return what of this machine can change a training's numbers: other CPUs round differently."""
    return {"system": platform.system(), "machine": platform.machine(), "processor": _processor()}


def machine() -> dict[str, str]:
    """Return this machine and how many of its CPUs this process may use: what speeds depend on."""
    return {**processor(), "processors": str(available_threads())}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
