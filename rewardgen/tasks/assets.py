"""Where the models are that other packages ship."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rewardgen.errors import TaskError


def gymnasium_asset(name: str) -> Path:
    """The path of a model that Gymnasium ships for its MuJoCo environments. Imports nothing of Gymnasium.

    Raises:
        TaskError: Gymnasium is not installed, or its release has no such model.
    """
    spec = importlib.util.find_spec("gymnasium")
    if spec is None or spec.origin is None:
        raise TaskError(f"the model {name} comes with Gymnasium, which is not installed: pip install gymnasium")
    path = Path(spec.origin).parent / "envs" / "mujoco" / "assets" / name
    if not path.is_file():
        raise TaskError(f"Gymnasium has no model {name} ({path} is missing); install gymnasium 1.0 or newer")
    return path
