"""A found reward and its policy as files that work where rewardgen is not installed.

``export`` writes the files for a program, a policy and a task; ``export_run`` takes them from a run's store. What is
written: ``reward.py`` (torch alone); ``environment.py`` with ``model.mjb`` (a ``gymnasium.Env`` of a MuJoCo task) and
``wrapper.py`` (a ``gymnasium.Wrapper``, for tasks that are or match a Gymnasium environment), which pay the reward;
``policy.safetensors`` with ``policy.py`` (torch and safetensors), ``policy.onnx``, and a ``README.md``.
``export_preferences`` writes what people said of a run's replays.
"""

from rewardgen.export.files import Exported, Origin, export
from rewardgen.export.preferences import PREFERENCES, export_preferences, preferences
from rewardgen.export.runs import export_run

__all__ = ["PREFERENCES", "Exported", "Origin", "export", "export_preferences", "export_run", "preferences"]
