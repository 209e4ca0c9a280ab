"""Where the models are that other packages ship. None of them is imported for it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rewardgen.errors import MissingPackage, TaskError


def gymnasium_asset(name: str) -> Path:
    """The path of a model that Gymnasium ships for its MuJoCo environments.

    Raises:
        MissingPackage: Gymnasium is not installed.
        TaskError: its release has no such model.
    """
    return package_asset("gymnasium", f"envs/mujoco/assets/{name}", "gymnasium")


def package_asset(package: str, path: str, install: str) -> Path:
    """The file ``path`` inside the installed ``package`` (its import name); ``install`` is what pip installs it by.

    Raises:
        MissingPackage: the package is not installed.
        TaskError: its release has no such file.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        message = f"the model {Path(path).name} comes with {package}, which is not installed: pip install '{install}'"
        raise MissingPackage(message, install)
    file = Path(spec.origin).parent / path
    if not file.is_file():
        raise TaskError(f"{package} has no file {path} ({file} is missing); install a release of it that does, with "
                        f"pip install --upgrade '{install}'")  # fmt: skip
    return file
