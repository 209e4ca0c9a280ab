"""Baselines: what the expert's and the sparse reward of a task reach. Measured once on a machine, used by every run."""

from rewardgen.baselines.cache import REWARDS, find, keep, locked, training_seeds
from rewardgen.baselines.measuring import evaluate_trainings, measure, shared_reward

__all__ = [
    "REWARDS",
    "evaluate_trainings",
    "find",
    "keep",
    "locked",
    "measure",
    "shared_reward",
    "training_seeds",
]
