"""A found reward and its policy as files that work where rewardgen is not installed.

``export`` writes the files for a program, a policy and a task; ``export_run`` takes them from a run's store. What is
written: ``reward.py`` (torch alone), ``wrapper.py`` (a ``gymnasium.Wrapper``, for tasks that match a Gymnasium
environment), ``policy.safetensors`` with ``policy.py`` (torch and safetensors), and a ``README.md``.
``export_preferences`` writes what people said of a run's replays.
"""

from rewardgen.export.files import Exported, Origin, export
from rewardgen.export.preferences import PREFERENCES, export_preferences, preferences
from rewardgen.export.runs import export_run

__all__ = ["PREFERENCES", "Exported", "Origin", "export", "export_preferences", "export_run", "preferences"]
