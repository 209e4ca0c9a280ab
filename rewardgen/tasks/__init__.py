"""Define tasks, find them, and step their worlds and episodes.

    task = load_task("cheetah/run")
    sim = MujocoSim(task.model, num_worlds=512)
    worlds = Worlds(task, sim, streams=torch.arange(512))
    worlds.start()
    step = worlds.step(torch.zeros(512, task.action_size))

A task file holds subclasses of ``Task``, each under ``@register("domain/task")``; it is found by path, in the folders
that ``task_names`` searches.
"""

from typing import TYPE_CHECKING

from rewardgen import lazy

if TYPE_CHECKING:
    from rewardgen.records import Episodes, Field, Layout, State
    from rewardgen.sim import Simulator
    from rewardgen.tasks.actions import UnitActions
    from rewardgen.tasks.adapter import EnvironmentTask
    from rewardgen.tasks.assets import gymnasium_asset, package_asset
    from rewardgen.tasks.base import RewardAndTerms, Task
    from rewardgen.tasks.blame import task_fault
    from rewardgen.tasks.catalogue import catalogue, listed
    from rewardgen.tasks.choices import one_hot
    from rewardgen.tasks.episodes import DIVERGED, play_episodes
    from rewardgen.tasks.loader import declared_tasks, files_without_tasks, load_task, requirements_of, task_names
    from rewardgen.tasks.random import WorldRandom
    from rewardgen.tasks.registry import register
    from rewardgen.tasks.rotations import euler_angles, quaternion_product
    from rewardgen.tasks.suite import SuiteTask
    from rewardgen.tasks.validation import validate
    from rewardgen.tasks.worlds import Step, Worlds
    from rewardgen.tolerance import tolerance

__all__ = [
    "DIVERGED",
    "EnvironmentTask",
    "Episodes",
    "Field",
    "Layout",
    "RewardAndTerms",
    "Simulator",
    "State",
    "Step",
    "SuiteTask",
    "Task",
    "UnitActions",
    "WorldRandom",
    "Worlds",
    "catalogue",
    "declared_tasks",
    "euler_angles",
    "files_without_tasks",
    "gymnasium_asset",
    "listed",
    "load_task",
    "one_hot",
    "package_asset",
    "play_episodes",
    "quaternion_product",
    "register",
    "requirements_of",
    "task_fault",
    "task_names",
    "tolerance",
    "validate",
]

lazy.exports(__name__)
