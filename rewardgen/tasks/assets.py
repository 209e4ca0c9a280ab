"""Locate models that other packages ship, without importing the packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rewardgen.errors import MissingPackage, TaskError


def gymnasium_asset(name: str) -> Path:
    """Return the path of a model that Gymnasium ships for its MuJoCo environments.

    Raises:
        MissingPackage: Gymnasium is not installed.
        TaskError: its release has no such model.
    """
    return package_asset("gymnasium", f"envs/mujoco/assets/{name}", "gymnasium")


def absent(package: str, install: str, what: str) -> MissingPackage | None:
    """Return the error that ``what`` needs ``package``, which is not installed; None if it is installed."""
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        return None
    command = f"pip install '{install}'"
    return MissingPackage(f"{what} comes with {package}, which is not installed: {command}", command)


def package_asset(package: str, path: str, install: str) -> Path:
    """Return the file ``path`` of the installed ``package`` (import name); ``install``: its name for pip.

    Raises:
        MissingPackage: the package is not installed.
        TaskError: its release has no such file.
    """
    missing = absent(package, install, f"the model {Path(path).name}")
    if missing is not None:
        raise missing
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None  # or it would be absent
    file = Path(spec.origin).parent / path
    if not file.is_file():
        raise TaskError(f"{package} has no file {path} ({file} is missing); install a release of it that does, with "
                        f"pip install --upgrade '{install}'")  # fmt: skip
    return file
