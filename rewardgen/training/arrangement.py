"""Choose the devices of a run's trainings from its settings."""

from __future__ import annotations

from rewardgen.config import Config
from rewardgen.sim import Arrangement, arrange
from rewardgen.tasks import Task

ONLY_CPU = "the reference trainer sb3 works with MuJoCo on the CPU"


def arrangement_of(config: Config, task: Task) -> Arrangement:
    """Return the devices for physics and learning of this run.

    Raises:
        ConfigError: a simulator or device that ``config`` asks for is not available; the message says what is missing.
    """
    cpu_only = ONLY_CPU if config.training.trainer == "sb3" else ""
    return arrange(config.sim, config.device, model=task.model, cpu_only=cpu_only)
